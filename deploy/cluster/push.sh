#!/usr/bin/env bash
# Builds every image and pushes it: `push.sh https://registry/prefix`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/deploy/single/prepare.sh"
prepare_node "$root"
exec "$FNCTL_NODE" "$root/deploy/cluster/src/push.ts" "$@"
