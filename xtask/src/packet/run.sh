# A program of nothing, C's and awl's on the same packet: `TOOL: LENGTH IN BYTES: VERDICT TIME...` for each. On one CPU: what a table lends to one and gets
# back from the other it collects by and by, which takes time.
measure() {
  length=$(bpftool prog show $2 | sed -n 's/.*xlated \([0-9]*\)B.*/\1/p')
  [ -f $PACKET.before ] && taskset 1 bpftool prog run $2 data_in $PACKET.before repeat 1 >/dev/null
  for r in 1 2 3 4 5 6 7 8 9 10 11 12; do
    # Return value: 2, duration (average): 61ns
    set -- "$1" "$2" $(taskset 1 bpftool prog run $2 data_in $PACKET repeat 200 | sed -n 's/.*value: \([0-9]*\), duration (average): \([0-9]*\)ns.*/\1 \2/p')
    verdict=$3; times="$times $4"
  done
  echo "$1: $length: $verdict$times"; times=
}
for case in pass $CASE; do
  bpftool prog load /vm/c/$case.o /sys/fs/bpf/$case || exit
done
measure nothing "pinned /sys/fs/bpf/pass"
measure C "pinned /sys/fs/bpf/$CASE"
awl --enforce /vm/tools/xdp_$CASE.bt lo $PARAMETERS >/tmp/a.out 2>/tmp/a.err & ours=$!
n=0
until grep -q Attached /tmp/a.out || [ $n -gt 100 ]; do n=$((n + 1)); usleep 100000; done
id=$(bpftool prog show | sed -n 's/^\([0-9]*\): xdp .*/\1/p' | tail -1)
measure awl "id $id"
kill -INT $ours; wait $ours || { cat /tmp/a.out /tmp/a.err >&2; }
rm /sys/fs/bpf/pass /sys/fs/bpf/$CASE
true
