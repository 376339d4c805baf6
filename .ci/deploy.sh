#!/usr/bin/env bash
# Everything of deploy/ that the watch does not look at: manifests, compose file,
# unit, and the container's image, which is built and started here without a
# registry and without a daemon. Takes cargo's profile, `release` or `ship` (a
# debug binary is larger than the image may be); `--renew` writes what is made of
# other files.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=release renew=
for word in "$@"; do
  case $word in
  --renew) renew=--renew ;;
  release | ship) folder=$word ;;
  *)
    echo "usage: $0 [release|ship] [--renew]" >&2
    exit 2
    ;;
  esac
done
for tool in cargo chroot dpkg kubectl python3 strip unshare; do
  command -v "$tool" >/dev/null || {
    echo "$tool is missing" >&2
    exit 1
  }
done

cargo build --locked --profile "$folder" --package standin --bin standin
standin=$(realpath "${CARGO_TARGET_DIR:-target}/$folder/standin")

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT TERM
# Another user starts the binary in it.
chmod 755 "$temporary"

# Unpacks Debian packages, so that nothing is installed and no service begins.
unpack() {
  local into=$temporary/packages/$1
  shift
  mkdir -p "$into"
  # Root may write where apt's own user may not.
  get() { (cd "$into" && apt-get -o APT::Sandbox::User=root -qq download "$@"); }
  get "$@" 2>/dev/null || { apt-get -qq update && get "$@"; }
  for package in "$into"/*.deb; do
    dpkg -x "$package" "$into"
  done
}

python3 -m venv "$temporary/venv" 2>/dev/null || true
if [ -x "$temporary/venv/bin/pip" ]; then
  python=$temporary/venv/bin/python
  "$python" -m pip install --quiet --requirement .ci/deploy/requirements.txt
else
  # Without ensurepip (Debian's python3-venv) there is no venv, but pip may be.
  python=python3
  python3 -m pip install --quiet --requirement .ci/deploy/requirements.txt --target "$temporary/site"
  export PYTHONPATH=$temporary/site
fi
export PYTHONDONTWRITEBYTECODE=1

"$python" .ci/deploy/manifests.py "$standin" "$temporary" $renew

# Debian's docker-compose is of another time, but it brings a schema.
unpack compose docker-compose
"$python" .ci/deploy/compose.py "$standin" "$temporary" \
  "$temporary"/packages/compose/usr/lib/python3/dist-packages/compose/config/compose_spec.json

if ! command -v systemd-analyze >/dev/null; then
  unpack systemd systemd libsystemd-shared
  there=$temporary/packages/systemd
  export PATH=$there/bin:$there/usr/bin:$PATH
  export LD_LIBRARY_PATH=$there/usr/lib/x86_64-linux-gnu/systemd:$there/usr/lib/x86_64-linux-gnu
fi
"$python" .ci/deploy/service.py "$standin" "$temporary"

# Only root that stands for all users can be another machine's.
read -r _ _ users </proc/self/uid_map
if [ "$(id -u)" = 0 ] && [ "$users" != 1 ] && [ -x /lib/systemd/systemd ]; then
  mkdir "$temporary/machine"
  timeout --kill-after=5 240 unshare --mount --net --fork --kill-child \
    "$python" .ci/deploy/running.py "$standin" "$temporary/machine"
else
  echo "not root, or no systemd here: no systemd runs the unit" >&2
fi

# The shipped profile strips its binary itself.
strip -o "$temporary/standin" "$standin"
mkdir "$temporary/build"
deploy/image/root.sh "$temporary/build/image" "$temporary/standin"

said=()
if [ "$(id -u)" = 0 ] && [ "$users" != 1 ]; then
  libraries=
  if ! command -v buildah >/dev/null; then
    unpack buildah buildah libassuan0 libdevmapper1.02.1 libgpg-error0 libgpgme11 libseccomp2 libselinux1
    PATH=$temporary/packages/buildah/usr/bin:$PATH
    libraries=$temporary/packages/buildah
    libraries=$libraries/usr/lib/x86_64-linux-gnu:$libraries/lib/x86_64-linux-gnu
  fi
  # Its rules about signatures and registries; it asks none.
  echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$temporary/policy.json"
  buildah() {
    LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} command buildah \
      --root "$temporary/store" --runroot "$temporary/run" --storage-driver vfs "$@"
  }
  # The root folder stands in for the stage that compiles.
  buildah build --quiet --isolation chroot --signature-policy "$temporary/policy.json" \
    --file deploy/image/Containerfile --target image --build-context "build=$temporary/build" \
    --tag standin:check . >/dev/null
  buildah inspect --type image standin:check >"$temporary/said.json"
  container=$(buildah from --pull-never --signature-policy "$temporary/policy.json" standin:check)
  cp -a "$(buildah mount "$container")" "$temporary/root"
  said=("$temporary/said.json")
  map=
else
  echo "not root: the image's folder is looked at, but buildah builds NO image of it" >&2
  mv "$temporary/build/image" "$temporary/root"
  map=--map-root-user
fi
mkdir "$temporary/container"
mv "$temporary/root" "$temporary/container/image"
# shellcheck disable=SC2086 # no map is no word
timeout --kill-after=5 60 unshare $map --mount --net --fork --kill-child \
  "$python" .ci/deploy/image.py "$temporary/container/image" "$temporary/container" "${said[@]}"
