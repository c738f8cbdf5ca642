said() { awl -q "$@" 2>&1 </dev/null | grep -E '^(error|ok)|help:|^@'; }
grep -o '\[.*\]' /sys/kernel/security/lockdown
said -e 'begin { printf("ok: begin ran\n"); } kprobe:vfs_read { @ = count(); }'
said -e 'kretprobe:vfs_read { @ = count(); }'
# Copies of the kernel's memory.
said -e 'begin { printf("ok: %s\n", str((uint8 *)(uint64)1)); exit(); }'
said -e 'fentry:vfs_read { printf("ok: %s\n", str(args.file.f_path.dentry.d_name.name)); }'
said -e 'tracepoint:sched:sched_switch { @[args.next_comm] = count(); }'
awl -l 'tracepoint:*' 2>&1 | head -n 1
# What is left. (On one processor: on two, a second line may come before the first one's `exit` is heard.)
said -e 'tracepoint:sched:sched_switch /cpu == 0/ { printf("ok: tracepoint\n"); exit(); }'
said -e 'rawtracepoint:sched_switch /cpu == 0 && args.next.pid >= 0/ { printf("ok: rawtracepoint\n"); exit(); }'
said -e 'fentry:vfs_read /args.count == 777/ { printf("ok: fentry\n"); exit(); }' -c 'dd if=/dev/zero of=/dev/null bs=777 count=1'
said -e 'uprobe:libc:malloc { printf("ok: uprobe\n"); exit(); }' -c 'cat /dev/null'
said -e 'profile:hz:99 /cpu == 0/ { printf("ok: profile\n"); exit(); }'
awl doctor 2>&1 | grep -E -A 1 '^(ok  |lack) (tracefs|lockdown)'
