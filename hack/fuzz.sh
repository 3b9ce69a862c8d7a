#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/fuzz.sh TIME MODULE PACKAGES TARGETS: runs for TIME each fuzz target of a module's packages
# whose name matches.
set -euo pipefail
cd "$(dirname "$0")/../$2"

out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Go may take the end of the time itself for a failure. A failure that is one has an input, which
# the fuzzer has written.
fuzz() {
	go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -fuzzminimizetime 20x "$2" | tee "$out" ||
		{ grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input written' "$out"; }
}

count=0
packages=$(go list "$3")
for package in $packages; do
	listed=$(go test -list "$4" "$package")
	for target in $(grep '^Fuzz' <<<"$listed" || true); do
		echo "$package $target"
		fuzz "$1" "$package" "$target"
		count=$((count + 1))
	done
done
if [ "$count" = 0 ]; then
	echo "error: no fuzz target of $2/$3 matches $4" >&2
	exit 1
fi
