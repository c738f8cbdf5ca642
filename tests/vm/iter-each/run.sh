# Each iterator that the kernel's types list runs, or says why it can't; how many there are differs from kernel to kernel.
awl -l 'iter:*' >/tmp/iterators
while read -r one; do
  said=$(awl -q -e "$one { @ = count(); }" 2>&1 </dev/null | tr -d '\n')
  case "$said" in
    "@: "[0-9]*) ran=$((ran + 1)) ;;
    *"it goes through the parts of something that has to be named"*) map=$((map + 1)) ;;
    *) echo "$one: $said" ;;
  esac
done </tmp/iterators
[ "$ran" -ge 5 ] && [ "$map" -ge 1 ] && echo done || echo "only $ran and $map"
