#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: hack/lint/lint.sh MODULE...
#
# Builds golangci-lint from hack/lint/go.mod into bin/ (go build does nothing
# when it is up to date) and runs it in each module of the tree, all with
# .golangci.yml. Looks at every module, then ends with 1 if one had a finding.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)

[ $# -gt 0 ] || { echo "usage: $0 MODULE..." >&2; exit 2; }

go -C hack/lint build -trimpath -ldflags '-s -w' -o "$root/bin/" \
	github.com/golangci/golangci-lint/v2/cmd/golangci-lint
unset GOGC GOMEMLIMIT # the Makefile's: a linter is not as small as a compiler
bin/golangci-lint config verify # a misspelt setting would be ignored in silence

status=0
for module; do
	echo "lint $module"
	# A module of tool lines alone is an error to the linter.
	find "$module" -name '*.go' -print -quit | grep -q . || continue
	(cd "$module" && "$root/bin/golangci-lint" run --config "$root/.golangci.yml" ./...) || status=1
done
exit $status
