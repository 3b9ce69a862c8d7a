#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/fuzz.sh TIME MODULE...: runs every fuzz target of the modules for TIME.
set -euo pipefail
cd "$(dirname "$0")/.."

time=$1
shift
for module in "$@"; do
	(
		cd "$module"
		for package in $(go list ./...); do
			for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
				echo "$package $target"
				go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$package"
			done
		done
	)
done
