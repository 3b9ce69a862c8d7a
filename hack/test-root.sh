#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests that share one control plane. The race detector makes a test several
# times slower, so it is for packages where something runs side by side. The
# plugin's own tests run it hundreds of times as a process: under the detector go
# those that make the plugin do everything at once: every verb, and the pushes
# and rotations that are disturbed.
set -euo pipefail

plugin=./cmd/kubectl-fernet
concurrent='\<go [[:alnum:]_.]+\(|\.Go\(|t\.Parallel\(|sync\.(RW)?Mutex|AfterFunc\('
race=() plain=()
packages=$(go list -f '{{.Dir}}' ./...)
for dir in $packages; do
	if [ "$dir" -ef "$plugin" ]; then
		continue
	elif grep -qE "$concurrent" "$dir"/*.go; then
		race+=("$dir")
	else
		plain+=("$dir")
	fi
done

units=(go test -timeout 40m -skip '^TestWine')
"${units[@]}" "${plain[@]}"
CGO_ENABLED=1 "${units[@]}" -race "${race[@]}"
go test -run '^TestWalk$' ./internal/action # under the race detector it takes fewer steps
go test -timeout 40m -parallel 4 -skip '^Test(Sweep|Trust|Wine)' "$plugin"
CGO_ENABLED=1 go test -race -timeout 40m -run '^Test(NothingLeaks|DoubtfulWrites|Interrupted|Throttling|RequestsOfAPush|TwoCheckouts)' "$plugin"
go -C hack/localkube/tools test ./...

# What one test leaves in the namespace default, another one stumbles over.
left=$(bin/kubectl get secrets -n default -o name)
if [ -n "$left" ]; then
	echo "error: a test wrote to the namespace default: $left" >&2
	exit 1
fi
