#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs all tests of all modules that have any, the root module's beside one
# control plane that they share, but for those of `make sweep`, `make trust`
# and `make test-windows`. The last lines say what SKIP_INTEROP=1, or not being root, left out.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
(cd decrypt && CGO_ENABLED=1 go test -race ./...) # which the race detector needs
bin/localkube run -- hack/test-root.sh
echo "all tests passed in $((SECONDS - started)) s"
if [ "${SKIP_INTEROP:-}" = 1 ]; then
	echo "LEFT OUT (SKIP_INTEROP=1): everything that compares with Python, Node, Ruby, PHP and Java"
fi
if [ "$(id -u)" != 0 ]; then
	echo "LEFT OUT (not root): TestTwoUsersInOneFolder, TestOwnerIsKept and, of fernet-exec, TestOwner, TestOwnerNeedsOneCapability, TestFSGroup and"
	echo "TestWriteIntoAFullFolder, which become other users or mount; CI runs them"
fi
