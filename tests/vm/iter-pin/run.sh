# A file that stays when awl has ended, and is text to whoever reads it.
cd /sys/fs/bpf
body='/ctx.task.pid == 2/ {
  $t = ctx.task;
  $long = str_concat(str_concat("0123456789012345678901234567890123456789012345678901234567890123456789", $t.comm), "; and again, for it is to be longer than the kernel allows strings of its own formats to be");
  printf("%d|%5d|%-5d|%05d|%+d|% d|%x|%08x|%X|%u|%lu|%hd|%hhu|%i\n", -7, 42, 42, 42, 42, 42, 255, 255, 48879, 3, $t.tgid, 65537, 258, (int64)-5000000000);
  printf("%c%c|%3c|%-3c|%p|%p|%%|%llx\n", 111, 107, 120, 121, (uint64)0, (uint64)4096, (uint64)-1);
  printf("%s|%12s|%-12s|%.4s|%8.4s|\n", $t.comm, $t.comm, $t.comm, $t.comm, $t.comm);
  printf("%s|%-170s|\n", $long, $long);
  printf("größer: %d\n", $t.pid);
  printf("%d %d %d %d %d %d %d %d %d %d %d %d %d %d\n", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
  print($t.comm); print((int8)-3); print((uint64)-1);
  for ($i : 0..3) { printf("turn %d of %s\n", $i, $t.comm); }
}'
awl -q -e "iter:task $body" | grep -v '^$' >/tmp/by-awl
awl -e "iter:task:verbs $body"
cat verbs >/tmp/by-cat; cmp /tmp/by-awl /tmp/by-cat && [ -s /tmp/by-cat ] && echo same
# Readers at the same time have the same text, each from the beginning.
for i in 1 2 3 4 5 6 7 8; do cat verbs >/tmp/reader.$i & done; wait
for i in 1 2 3 4 5 6 7 8; do cmp /tmp/by-awl /tmp/reader.$i; done
rm verbs

# Maps live as long as the file.
awl -q -e 'iter:task:/sys/fs/bpf/again /ctx.task.pid == 2/ { @n++; printf("read %d\n", @n); }'
cat again again
awl ps | tail -n +2 | tr -s ' ' | cut -d ' ' -f 1,3
awl -q -e 'iter:task:again { print(1); }' 2>&1 | grep -E 'error|help'
awl stop again && ls

# What isn't awl's stays.
mkdir folder
awl -q -e 'iter:task:folder { print(1); }' 2>&1 | grep -E 'error|help'
rmdir folder
awl -q -e 'iter:task:"none/list" { print(1); }' 2>&1 | grep -E 'error|help'
awl -q -e 'iter:task:/tmp/list { print(1); }' 2>&1 | grep -E 'error|help'
# All of them or none.
awl -q -e 'iter:task:first { print(1); } iter:task:"none/second" { print(1); }' 2>&1 | grep error; ls

# More than a page for an object, and more than the kernel's buffer (eight pages) for all.
awl -q -e 'iter:task:long /ctx.task.pid <= 3/ { for ($i : 0..250) { printf("%049d\n", $i); } }'
cat long | wc -c; cat long | tail -n 1
rm long
# Too much for one object.
awl -q -e 'iter:task:much /ctx.task.pid == 2/ { for ($i : 0..250) { printf("%0169d\n", $i); } }'
cat much 2>&1 | tail -n 1
rm much
awl -f json -e 'iter:task:json { print(1); }'
awl stop /sys/fs/bpf/json

cd /; umount /sys/fs/bpf
awl -q -e 'iter:task:list { print(1); }' 2>&1 | grep -E 'error|help'
mount -t bpf b /sys/fs/bpf
awl ps | tail -n +2 | grep -c iter
