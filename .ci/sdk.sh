#!/bin/sh
# The official OpenAI SDKs, for Python and for Node, against the running
# binary. Takes cargo's profile folder: `debug` (the default) or `release`.
# Whatever is missing fails the run; nothing is skipped.
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
for tool in cargo python3 node npm timeout; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing" >&2
        exit 1
    }
done

cargo build --locked --profile "$profile" --package standin --package load-tests --bins
target=${CARGO_TARGET_DIR:-target}
STANDIN=$(realpath "$target/$folder/standin")
LOAD_TESTS=$(realpath "$target/$folder/load-tests")
export STANDIN LOAD_TESTS

packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
trap 'exit 130' INT TERM

# Without ensurepip (Debian's python3-venv) there is no venv, but pip may be.
requirements=tests/sdk/python/requirements.txt
if python3 -c 'import ensurepip, venv' 2>/dev/null; then
    python3 -m venv "$packages/venv"
    python=$packages/venv/bin/python
    "$python" -m pip install --quiet --requirement "$requirements"
else
    python=python3
    python3 -m pip install --quiet --requirement "$requirements" --target "$packages/site"
    PYTHONPATH=$packages/site
    export PYTHONPATH
fi
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE

# A lockfile that names a registry would send everybody there.
if grep -q '"resolved"' tests/sdk/node/package-lock.json; then
    echo 'tests/sdk/node/package-lock.json names a registry' >&2
    exit 1
fi
npm ci --prefix tests/sdk/node --no-audit --no-fund

# The processes behind the tests end with their standard input, also where
# one of these limits is reached.
(cd tests/sdk/python && timeout 300 "$python" -m unittest)
(cd tests/sdk/node && timeout 300 node --test)
