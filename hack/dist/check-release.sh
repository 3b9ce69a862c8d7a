#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: hack/dist/check-release.sh [GO.MOD]
#
# Fails while the root go.mod is one that `go install …@VERSION` refuses or that
# a reader elsewhere cannot resolve: a replace, an exclude, or a decrypt that no
# tag stands behind. main has the replace on purpose; a release drops it.
set -eu
gomod=${1:-$(dirname "$0")/../../go.mod}

text=$(go mod edit -print "$gomod")
bad=$(printf '%s\n' "$text" | grep -E '^(replace|exclude)[ (]|/decrypt v0\.0\.0-' || true)
[ -z "$bad" ] && exit 0

printf 'error: %s: not fit for a release:\n%s\n' "$gomod" "$bad" >&2
echo 'hint: docs/release.md, "The release commit"' >&2
exit 1
