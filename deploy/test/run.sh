#!/usr/bin/env bash
# run.sh check|unit|e2e|registry|cluster|reliability|bench|all: runs the project's own checks and installs what they need. Every suite
# writes its counts to a file for the closing line.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/deploy/single/prepare.sh"
prepare_node "$root" || exit 1
cd "$root"
results=${FNCTL_RESULTS_DIR:-$(mktemp -d)}
status=0

check() {
  local failed=0
  for step in "oxfmt --check" "oxlint" "tsc -p ." "knip" "depcruise --config .dependency-cruiser.cjs gateway control-plane/src runtime-images cli/src migrations/src deploy" "$FNCTL_NODE deploy/test/src/floors.ts" "$FNCTL_NODE deploy/test/src/rooms.ts" "$FNCTL_NODE deploy/test/src/function-length.ts"; do
    if ! output=$($step 2>&1); then failed=1; printf '%s\n' "check failed: $step" "$output" >&2; fi
  done
  if [ $failed -eq 0 ]; then say "checks: format, lint, types, dead code, imports, version floors, room graph, lengths: ok"; printf '1 0 0' > "$results/check.counts"
  else printf '0 1 0' > "$results/check.counts"; status=1; fi
}
suite() {
  "$FNCTL_NODE" node_modules/vitest/vitest.mjs run --project "$1" --reporter=default --reporter=json --outputFile.json="$results/$1.json" && return
  status=1
  # An error outside of all tests fails the run, but the counts in its report do not show that.
  ! grep -q '"success":true' "$results/$1.json" 2> /dev/null || printf '0 1 0' > "$results/$1-outside.counts"
}
# Gets a kernel for the virtual machine in which the first program of Kata's pods is tested.
prepare_guest() {
  local package cache=${FNCTL_CACHE_DIR:-/var/cache/fnctl}
  debian_packages qemu-system-x86_64 qemu-system-x86 || return
  package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  [ -n "$package" ] && debian_file "$cache/guest-kernel" "$package" "/boot/vmlinuz-${package#linux-image-}" > /dev/null
}
# Installs other projects' tools for tests of our images, and a browser for tests of our pages; a machine that cannot have them skips those
# tests and says so.
prepare_host() { debian_packages skopeo skopeo umoci umoci || true; debian_packages chromium chromium || true; prepare_guest || true; "$FNCTL_NODE" deploy/test/src/prepare-host.ts || status=1; }
# distribution and crane are among the test cluster's tools, or in FNCTL_TEST_BIN for a cluster from KUBECONFIG. Debian's package is an old
# distribution.
registry_suite() {
  local tools=${FNCTL_TEST_BIN:-} old cache=${FNCTL_CACHE_DIR:-/var/cache/fnctl}
  debian_packages skopeo skopeo umoci umoci openssl openssl || true
  [ -n "${KUBECONFIG:-}" ] || tools=$(bash deploy/test/cluster/cluster.sh bin) || { status=1; return; }
  old=$(debian_file "$cache/docker-registry" docker-registry /usr/bin/docker-registry) || old=
  PATH=${tools:+$tools:}${old:+$(dirname "$old"):}$PATH suite registry
}

case ${1:-unit} in
  check) check ;;
  unit) check; prepare_host; suite unit ;;
  e2e) prepare_host; suite e2e ;;
  registry) registry_suite ;;
  cluster) registry_suite; suite cluster ;;
  all) check; prepare_host; suite unit; suite e2e; registry_suite; suite cluster ;;
  reliability) shift; FNCTL_RESULTS_DIR=$results "$FNCTL_NODE" deploy/test/reliability/reliability.ts "$@" || status=1 ;;
  bench) shift; exec "$FNCTL_NODE" deploy/test/bench/bench.ts "$@" ;;
  bench-cluster) shift; exec "$FNCTL_NODE" deploy/test/bench/cluster.ts "$@" ;;
  bench-scale) shift; exec "$FNCTL_NODE" deploy/test/bench/scale.ts "$@" ;;
  *) echo "usage: run.sh check|unit|e2e|registry|cluster|reliability|bench|bench-cluster|bench-scale|all" >&2; exit 2 ;;
esac
[ -n "${FNCTL_RESULTS_DIR:-}" ] || "$FNCTL_NODE" deploy/test/src/counts.ts "$results" || status=1
exit $status
