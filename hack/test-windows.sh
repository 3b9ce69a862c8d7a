#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the programs for Windows under Wine: scripts of testdata/script as they are, those of
# testdata/windows, and the release's archive. The last lines say how many there were, and what
# was left out.
set -euo pipefail
cd "$(dirname "$0")/.."

hack/test-tools.sh windows
started=$SECONDS
export PATH=$PATH:/usr/lib/wine # where Debian has wine64
export WINEPREFIX=$PWD/bin/wine/drive WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe='
unset DISPLAY
hack/wine/build.sh
trap 'wineserver64 -k || true' EXIT
wineserver64 -k || true # one that ends with its last program
wineserver64 -p         # until then; otherwise each program would start Windows first
wine64 wineboot </dev/null &>/dev/null # what it starts keeps the streams of whoever was first
bin/localkube run -- go test -timeout 30m -parallel 4 -run '^TestWine' ./cmd/kubectl-fernet
go test -run '^TestWine' ./hack/dist
sed -n '/<!-- wine -->/,/<!-- \/wine -->/p' docs/windows.md
echo "all scripts passed under Wine in $((SECONDS - started)) s"
