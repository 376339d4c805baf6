#!/bin/sh
# The admin port's page in a real browser: Debian's chromium, headless, driven
# by playwright-core. Takes cargo's profile folder: `debug` (the default) or
# `release`. Whatever is missing is installed or fails the run.
set -eu

folder=${1:-debug}
case $folder in
debug) profile=dev ;;
release) profile=release ;;
*)
    echo "usage: $0 [debug|release]" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
for tool in cargo node npm timeout; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing" >&2
        exit 1
    }
done
if ! test -x /usr/bin/chromium; then
    apt-get update -qq
    apt-get install -qq --no-install-recommends chromium >/dev/null
fi

cargo build --locked --profile "$profile" --package standin --bins
target=${CARGO_TARGET_DIR:-target}
STANDIN=$(realpath "$target/$folder/standin")
export STANDIN

# A lockfile that names a registry would send everybody there.
if grep -q '"resolved"' tests/page/package-lock.json; then
    echo 'tests/page/package-lock.json names a registry' >&2
    exit 1
fi
npm ci --prefix tests/page --no-audit --no-fund

cd tests/page && timeout 300 node --test
