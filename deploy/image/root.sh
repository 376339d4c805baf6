#!/bin/sh
# Assembles the root folder of the container image: the binary, the libraries
# that it is linked to, the certificates of the authorities, and the names that
# the C library asks for. Nothing else: no shell, no package manager.
#
#   deploy/image/root.sh DEST [BINARY]
#
# DEST must not be there yet. BINARY is target/ship/standin where it is not said.
# What becomes of it does not depend on who runs it, or when.
set -eu
umask 022

dest=${1:?usage: $0 DEST [BINARY]}
binary=${2:-$(dirname "$0")/../../target/ship/standin}
authorities=/etc/ssl/certs/ca-certificates.crt

for needed in "$binary" "$authorities"; do
    [ -f "$needed" ] || {
        echo "$needed is missing" >&2
        exit 1
    }
done
mkdir "$dest"

install -D -m 0755 "$binary" "$dest/standin"
# A static binary has none. The kernel asks for the loader by the name that
# stands in the binary, so each comes where it was found.
if libraries=$(ldd "$binary" 2>/dev/null); then
    echo "$libraries" | grep -q 'not found' && {
        echo "$libraries" >&2
        exit 1
    }
    for library in $(echo "$libraries" | grep -oE '/[^ ]+ \(0x' | cut -d' ' -f1); do
        install -D -m 0755 "$library" "$dest$library"
    done
fi

install -D -m 0644 "$authorities" "$dest$authorities"
echo 'standin:x:65532:65532:Standin:/var/lib/standin:/sbin/nologin' >"$dest/etc/passwd"
echo 'standin:x:65532:' >"$dest/etc/group"
# Without it the C library would ask the DNS before /etc/hosts.
echo 'hosts: files dns' >"$dest/etc/nsswitch.conf"

# The configuration is mounted here, and the ledger's volume there. A volume
# that is empty takes over whose the folder is.
install -d -m 0755 "$dest/etc/standin" "$dest/var/lib"
install -d -m 0750 "$dest/var/lib/standin"
read -r _ _ users </proc/self/uid_map
if [ "$(id -u)" = 0 ] && [ "$users" != 1 ]; then
    chown 65532:65532 "$dest/var/lib/standin"
else
    echo "$dest/var/lib/standin belongs to who made it: only root can give it to user 65532" >&2
fi

find "$dest" -exec touch -h -d @0 {} +
