# A program of nothing, C's and awl's on the same packet: `TOOL: LENGTH IN BYTES: VERDICT TIME...` for each. On one CPU: what a table lends to one and gets
# back from the other it collects by and by, which takes time. Where there are several packets, each is run once.
measure() {
  length=$(bpftool prog show $2 | sed -n 's/.*xlated \([0-9]*\)B.*/\1/p')
  [ -f $PACKET.before ] && taskset 1 bpftool prog run $2 data_in $PACKET.before repeat 1 >/dev/null
  for r in 1 2 3 4 5 6 7 8 9 10 11 12; do
    run="$PACKET repeat 200"
    [ -f $PACKET.$r ] && run="$PACKET.$r repeat 1"
    # Return value: 2, duration (average): 61ns
    set -- "$1" "$2" $(taskset 1 bpftool prog run $2 data_in $run | sed -n 's/.*value: \([0-9]*\), duration[^:]*: \([0-9]*\)ns.*/\1 \2/p')
    verdict=$3; times="$times $4"
  done
  echo "$1: $length: $verdict$times"; times=
}
case $CASE in tc_*) nothing=tc_pass kind=sched_cls;; *) nothing=pass kind=xdp;; esac
for case in $nothing $CASE; do
  bpftool prog load /vm/c/$case.o /sys/fs/bpf/$case || exit
done
# Both backends are there for awl's balancer, too.
for n in 0 1; do bpftool map update name healthy key $n 0 0 0 0 0 0 0 value 1 0 0 0 0 0 0 0 2>/dev/null; done
measure nothing "pinned /sys/fs/bpf/$nothing"
measure C "pinned /sys/fs/bpf/$CASE"
rm -f /tmp/a.out
awl --enforce /vm/tools/$CASE.bt lo $PARAMETERS >/tmp/a.out 2>/tmp/a.err & ours=$!
n=0
until grep -qs Attached /tmp/a.out || [ $n -gt 100 ]; do n=$((n + 1)); usleep 100000; done
id=$(bpftool prog show | sed -n "s/^\([0-9]*\): $kind .*/\1/p" | tail -1)
measure awl "id $id"
kill -INT $ours; wait $ours || { cat /tmp/a.out /tmp/a.err >&2; }
rm /sys/fs/bpf/$nothing /sys/fs/bpf/$CASE
true
