#!/usr/bin/env bash
# Each fuzz target for some seconds (default 10), or those that are named, from
# its committed seeds on. Needs a nightly toolchain, which no script can install
# offline: where there is none, says so and leaves the targets to the tests that
# call the same functions.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
shift || true
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "no nightly toolchain here: fuzz targets not run"
  exit 0
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  cargo install cargo-fuzz --locked --quiet
fi
if [ $# -eq 0 ]; then
  mapfile -t all < <(cargo +nightly fuzz list)
  set -- "${all[@]}"
fi
for target in "$@"; do
  echo "fuzz $target for $seconds s"
  # What is found goes into the first folder.
  mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
    tail -n 12
done
