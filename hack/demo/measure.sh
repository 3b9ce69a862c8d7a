#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How long the first `make demo` takes: of the last commit, with Go's caches empty. Each line has its second.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

git clone -q . "$work/checkout"
export GOCACHE=$work/cache GOMODCACHE=$work/mod KUBEBUILDER_ASSETS=
SECONDS=0
make -C "$work/checkout" demo 2>&1 | while IFS= read -r line; do printf '%4d %s\n' "$SECONDS" "$line"; done
echo "the first make demo took $SECONDS s"
