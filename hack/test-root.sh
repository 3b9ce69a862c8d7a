#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests that share one control plane. The plugin's own run it hundreds of
# times as a process, which the race detector makes six times slower; so under
# it run those that make the plugin do everything at once: every verb, and the
# pushes and rotations that are disturbed.
set -euo pipefail

plugin=./cmd/kubectl-fernet
go list ./... | grep -v "/${plugin#./}$" | xargs go test -race -timeout 40m -skip '^TestWine'
go test -run '^TestWalk$' ./internal/action # under the race detector it takes fewer steps
go test -timeout 40m -skip '^Test(Sweep|Trust|Wine)' "$plugin"
go test -race -timeout 40m -run '^Test(NothingLeaks|DoubtfulWrites|Interrupted|Throttling|RequestsOfAPush|TwoCheckouts)' "$plugin"
go -C hack/localkube/tools test ./...

# What one test leaves in the namespace default, another one stumbles over.
left=$(bin/kubectl get secrets -n default -o name)
if [ -n "$left" ]; then
	echo "error: a test wrote to the namespace default: $left" >&2
	exit 1
fi
