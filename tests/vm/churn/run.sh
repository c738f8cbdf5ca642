# Attaches and detaches while processes start and end: each script counts what its command does, and nothing is left.
links=
# Links can be listed since 5.19.
awl -l 'iter:bpf_link' >/dev/null 2>&1 && links='iter:bpf_link { @l = count(); }'
there() { awl -q -e "iter:bpf_prog { @p = count(); } iter:bpf_map { @m = count(); } $links" | tr -d '\n'; echo; }
before=$(there)
(while :; do moves step=3 fork=2 step=2; dd if=/dev/zero of=/dev/null bs=777 count=3 status=none; done) >/dev/null 2>&1 &
churner=$!
dd="dd if=/dev/zero of=/dev/null bs=777 count=200 status=none"
work="moves step=100 count=50 step-threads=4 write=30 fork=1"
end=$(($(date +%s) + ${1:-15}))
try() { # expected, command, script
  got=$(awl -q -c "$2" -e "$3" 2>&1 | tr -d '\n')
  [ "$got" = "@: $1" ] || echo "$3: $got"
}
while [ "$(date +%s)" -lt "$end" ]; do
  try 200 "$dd" 'kprobe:vfs_read /pid == cpid && arg2 == 777/ { @ = count(); }'
  try 200 "$dd" 'kretprobe:vfs_read /pid == cpid && retval == 777/ { @ = count(); }'
  try 300 "$work" 'uprobe:/usr/bin/moves:step { @ = count(); } profile:hz:99 { $x = 1; }'
  try 300 "$work" 'uretprobe:/usr/bin/moves:step { @ = count(); }'
  try 200 "$dd" 'tracepoint:syscalls:sys_exit_read /pid == cpid && args.ret == 777/ { @ = count(); }'
  try 15 notes 'usdt:/usr/bin/notes:app:half { @ = count(); }'
  # This one is guarded by a semaphore, which goes up and down with each awl.
  try 7 notes 'usdt:/usr/bin/notes:app:guarded { @ = count(); }'
  try 30 "$work" 'watchpoint:0x10000000:8:w { @ = count(); }'
  tried=$((tried + 1))
done
kill $churner; wait $churner 2>/dev/null
sleep 1
after=$(there)
[ "$before" = "$after" ] || echo "left: $before, $after"
[ "$tried" -gt 0 ] && echo done
