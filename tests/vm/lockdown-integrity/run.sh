echo integrity >/sys/kernel/security/lockdown
awl -q --unsafe -e 'tracepoint:syscalls:sys_enter_nanosleep { write_user(args.rqtp, 1); }' 2>&1 </dev/null | grep -E '^error|help:'
dd if=/dev/zero of=/dev/null bs=777 count=1 status=none
