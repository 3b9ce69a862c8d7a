#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/fuzz.sh TIME MODULE PACKAGES TARGETS: runs for TIME each fuzz target of a module's packages
# whose name matches.
set -euo pipefail
cd "$(dirname "$0")/../$2"

# Go may take the end of the time itself for a failure. A failure that is one has an input, which
# the fuzzer has written.
fuzz() {
	local out
	out=$(mktemp)
	go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -fuzzminimizetime 20x "$2" | tee "$out" ||
		{ grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input written' "$out"; }
	rm -f "$out"
}

for package in $(go list "$3"); do
	for target in $(go test -list "$4" "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		fuzz "$1" "$package" "$target"
	done
done
