# Some tools under bpftrace and under awl, all at the same time: all of them see the same events.
# Each leaves `#### WHO TOOL STATUS`, what it printed, `#!!!` and its errors.
cd /tmp && rm -rf tools && mkdir tools && cd tools
ticks() { sed 's/.*) //' /proc/$1/stat 2>/dev/null | awk '{ print $12 + $13 }'; }
# Waits until they have attached: then they no longer compute.
settled() {
  for p in $@; do
    last=-99; n=0
    while [ -d /proc/$p ] && [ $n -lt 80 ]; do
      t=$(ticks $p); [ $((${t:-0} - last)) -le 3 ] && break
      last=${t:-0}; n=$((n + 1)); usleep 400000
    done
  done
}
theirs= ours=
for t in $TOOLS; do
  $PEER $DIR/$t.bt >$t.bpftrace.out 2>$t.bpftrace.err </dev/null & theirs="$theirs $!"
done
usleep 500000; settled $theirs
for t in $TOOLS; do
  awl $DIR/$t.bt >$t.awl.out 2>$t.awl.err </dev/null & ours="$ours $!"
done
usleep 500000; settled $ours
# Ended, whether the shell has noticed or not.
ended() { [ ! -d /proc/$1 ] || grep -q '^State:.Z' /proc/$1/status 2>/dev/null; }
# What ends at once is told to go on without what isn't there.
set -- $ours; ours=; again=
for t in $TOOLS; do
  p=$1; shift
  n=0
  until ended $p || grep -q '^Attached ' $t.awl.out || [ $n -ge 100 ]; do n=$((n + 1)); usleep 200000; done
  if ended $p; then
    AWL_MISSING_PROBES=warn awl $DIR/$t.bt >$t.awl.out 2>$t.awl.err </dev/null & p=$!; again="$again $t "
  fi
  ours="$ours $p"
done
[ -n "$again" ] && { usleep 500000; settled $ours; }
. /vm/work.sh >/dev/null 2>&1
usleep 1200000
kill -INT $theirs $ours 2>/dev/null
end() {
  who=$1; shift
  for t in $TOOLS; do
    n=0
    until ended $1 || [ $n -ge 60 ]; do n=$((n + 1)); usleep 200000; done
    kill -9 $1 2>/dev/null; wait $1; s=$?; shift
    case "$who $again" in awl*" $t "*) s="$s told" ;; esac
    echo "#### $who $t $s"
    head -n 120 $t.$who.out; tail -n +121 $t.$who.out | tail -n 120
    echo '#!!!'; head -n 12 $t.$who.err
  done
}
end bpftrace $theirs
end awl $ours
