#!/usr/bin/env bash
# Every configuration that is shipped passes the check, and the committed
# schema is the binary's.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet
standin=target/debug/standin
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT

for file in conf/*.yaml; do
  # The catalogue and its prices are data for the binary, not configurations.
  case $file in
  conf/catalogue.yaml | conf/prices.yaml) continue ;;
  esac
  # Every variable that it names, and every file.
  for name in $(grep -oE '\$\{[A-Z_]+\}' "$file" | tr -d '${}' | sort -u); do
    export "$name=value"
  done
  text=$(sed -E "s#(api_key_file: *)[^ ,}]+#\1$keys/key#" "$file")
  echo value >"$keys/key"
  printf '%s\n' "$text" >"$keys/conf.yaml"
  "$standin" check -c "$keys/conf.yaml"
done

"$standin" schema | diff - conf/schema.json
