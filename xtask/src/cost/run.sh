# One program under bpftrace and under awl, both attached while the same work is done some times. After each time:
# `#### ROUND` and what bpftool says of all programs, `#### WHO` being those that were there before WHO came.
echo 1 >/proc/sys/kernel/bpf_stats_enabled
ticks() { sed 's/.*) //' /proc/$1/stat 2>/dev/null | awk '{ print $12 + $13 }'; }
settled() {
  last=-99; n=0
  while [ -d /proc/$1 ] && [ $n -lt 60 ]; do
    t=$(ticks $1); [ $((${t:-0} - last)) -le 3 ] && break
    last=${t:-0}; n=$((n + 1)); usleep 300000
  done
}
show() { echo "#### $1"; bpftool prog show; }
show bpftrace
$PEER -e "$PROGRAM" >/tmp/p.out 2>/tmp/p.err </dev/null & theirs=$!
usleep 500000; settled $theirs
show awl
awl -e "$PROGRAM" >/tmp/a.out 2>/tmp/a.err </dev/null & ours=$!
usleep 500000; settled $ours
for r in 0 1 2 3 4 5; do
  # Neither reads its lines meanwhile: how often an event wakes a reader that has caught up is chance, and dearer than the event.
  kill -STOP $theirs $ours
  dd if=/dev/zero of=/dev/null bs=16 count=3000 2>/dev/null
  kill -CONT $theirs $ours; usleep 300000
  show $r
done
kill -INT $theirs $ours 2>/dev/null
wait $theirs || { echo "bpftrace ended with $?"; cat /tmp/p.out /tmp/p.err; } >&2
wait $ours || { echo "awl ended with $?"; cat /tmp/a.out /tmp/a.err; } >&2
true
