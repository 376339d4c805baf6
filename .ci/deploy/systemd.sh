#!/usr/bin/env bash
# Becomes systemd, the first process of a machine that has this one's files, and
# writes to none of them: what is in FILES is laid over them, and what is written
# goes with its memory. Wants namespaces of its own for mounts, processes, names
# and control groups (`unshare --mount --pid --uts --ipc --cgroup --fork`).
#
#     systemd.sh FILES TEMPORARY
set -euo pipefail
files=$1 memory=$2/memory root=$2/root

mount --make-rprivate /
mkdir "$memory" "$root"
mount -t tmpfs tmpfs "$memory"
mkdir "$memory/upper" "$memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
# No unit of this machine begins.
rm -rf "$root/etc/systemd/system" "$root/var/lib/private" "$root/var/lib/standin"
cp -a "$files/." "$root/"

cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir "$memory/dev"
for device in full null random tty urandom zero; do
  touch "$memory/dev/$device"
  mount --bind "/dev/$device" "$memory/dev/$device"
done
mount --rbind "$memory/dev" dev
mkdir dev/hugepages dev/mqueue dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mkdir before
pivot_root . before
umount --lazy /before
# Where systemd gives credentials to a service, the service sees them.
mount --make-rshared /
exec env -i container=check PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=check.target --log-target=journal --show-status=no
