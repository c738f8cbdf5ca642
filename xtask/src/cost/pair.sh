# What a call costs, whole: the least of some rounds, without probes and with them, each alone. `#### WHO MICROSECONDS` for each.
echo 0 >/proc/sys/kernel/bpf_stats_enabled
N=20000
measure() {
  least=$(bash -c 'for r in 1 2 3 4 5 6 7; do
    from=${EPOCHREALTIME/./}; dd if=/dev/zero of=/dev/null bs=16 count='$N' status=none; echo $((${EPOCHREALTIME/./} - from))
  done' | sort -n | head -n 1)
  echo "#### $1 $least"
}
with() {
  who=$1; shift
  "$@" >/tmp/p.out 2>/tmp/p.err </dev/null & tracer=$!
  n=0; until grep -qi attach /tmp/p.out /tmp/p.err || [ $n -gt 100 ]; do n=$((n + 1)); usleep 200000; done
  usleep 2000000
  measure $who
  kill -INT $tracer
  wait $tracer || { echo "$who ended with $?"; cat /tmp/p.out /tmp/p.err; } >&2
}
measure unused >/dev/null
measure nothing
with bpftrace $PEER -e "$PROGRAM"
with two awl --no-feature kprobe_session -e "$PROGRAM"
with awl awl -e "$PROGRAM"
measure again
true
