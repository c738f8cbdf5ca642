# Something for each tool to see.
for i in 1 2 3; do
  true; cat /etc/passwd; ls -l /proc/self; /usr/bin/env true
  bash -c 'kill -0 $$; for i in 1 2; do (exit 0); done'
  stat -f /tmp; stat /etc/passwd; ls /nosuch/file
  getent hosts localhost; getent ahosts localhost; getent ahosts 127.0.0.1
done
nc -l -p 77 </etc/passwd & usleep 200000
nc 127.0.0.1 77 </etc/passwd & usleep 300000; kill $! %1
nc 127.0.0.1 78
setpriv --reuid 0 true; su root -c true
{ usleep 500000; printf 'true\necho read\n'; usleep 1500000; printf 'exit\n'; } | script -q -c 'bash --norc -i' /dev/null
dd if=/dev/zero of=/tmp/disk bs=1M count=16; mke2fs /tmp/disk; mkdir -p /tmp/mnt
losetup /dev/loop0 /tmp/disk && mount -t ext4 /dev/loop0 /tmp/mnt
for i in 1 2 3; do dd if=/dev/zero of=/tmp/mnt/f$i bs=64k count=16 conv=fsync; done
cp /etc/passwd /tmp/mnt/copy; sync; umount /tmp/mnt; losetup -d /dev/loop0
usleep 100000; sleep 1
