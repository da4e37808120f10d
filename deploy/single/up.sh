#!/usr/bin/env bash
# Entry of `npm run up` and `npm run down`: makes sure that Node 24 and the npm packages are there, then hands over.
# Works on a bare Debian machine too (`bash deploy/single/up.sh`), with or without Node.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/deploy/single/prepare.sh"
prepare_node "$root"
exec "$FNCTL_NODE" "$root/deploy/single/src/up.ts" "$@"
