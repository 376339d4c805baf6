#!/bin/sh
# The admin port's page in a real browser: Debian's chromium, headless, driven
# by playwright-core. Whatever is missing is installed or fails the run.
set -eu

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

cargo build --locked --package standin --bins
target=${CARGO_TARGET_DIR:-target}
STANDIN=$(realpath "$target/debug/standin")
export STANDIN

# A lockfile that names a registry would send everybody there.
if grep -q '"resolved"' tests/page/package-lock.json; then
    echo 'tests/page/package-lock.json names a registry' >&2
    exit 1
fi
npm ci --prefix tests/page --no-audit --no-fund

cd tests/page && timeout 300 node --test
