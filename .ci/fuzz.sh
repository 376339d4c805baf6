#!/usr/bin/env bash
# Each fuzz target for some seconds (default 10). Needs a nightly toolchain,
# which no script can install offline: where there is none, says so and leaves
# the targets to the tests that call the same functions.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "no nightly toolchain here: fuzz targets not run"
  exit 0
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  cargo install cargo-fuzz --locked --quiet
fi
for target in $(cargo +nightly fuzz list); do
  echo "fuzz $target for $seconds s"
  cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
    tail -n 12
done
