#!/usr/bin/env bash
# Fails where a request takes more instructions than it used to. A change that
# is worth more of them, or that saves some, renews the reference:
#   cargo run --release -p load-tests -- instructions --renew
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends valgrind
fi
cargo run --release --locked -p load-tests -- instructions
