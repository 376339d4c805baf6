#!/usr/bin/env bash
# The dashboard, the rules and the metrics, against a real Prometheus: Debian's
# package brings the server and promtool. It is only unpacked, so that nothing
# is installed and no service begins.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-debug}
case $folder in
debug) profile=dev ;;
*) profile=$folder ;;
esac
cargo build --locked --profile "$profile" --package standin --package load-tests --bins
target=${CARGO_TARGET_DIR:-target}/$folder

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT TERM

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
  # Root may write where apt's own user may not.
  get() { (cd "$temporary" && apt-get -o APT::Sandbox::User=root -qq download prometheus); }
  get 2>/dev/null || { apt-get -qq update && get; }
  dpkg -x "$temporary"/prometheus_*.deb "$temporary/package"
  PATH=$temporary/package/usr/bin:$PATH
fi

promtool check config deploy/prometheus/prometheus.yml
promtool check rules deploy/prometheus/rules/*.rules.yml
promtool test rules deploy/prometheus/tests/*.test.yml

# The processes behind it end with it, whatever ends it.
PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=5 120 \
  python3 .ci/watch "$target/standin" "$target/load-tests" "$temporary"
