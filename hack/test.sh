#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs all tests of all modules that have any, the root module's beside one
# control plane that they share, but for the kill sweeps, which `make sweep`
# runs. With SKIP_INTEROP=1 the last line says what was left out.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
(cd decrypt && go test -race ./...)
bin/localkube run -- hack/test-root.sh
echo "all tests passed in $((SECONDS - started)) s"
if [ "${SKIP_INTEROP:-}" = 1 ]; then
	echo "LEFT OUT (SKIP_INTEROP=1): everything that compares with Python and Node"
fi
