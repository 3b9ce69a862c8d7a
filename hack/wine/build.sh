#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds what `make test-windows` runs into bin/wine: the programs of this repository and kubectl
# for Windows, and beside each one a shell script that starts it under Wine, so that the kubectl of
# Linux finds the plugin of Windows on PATH. drive is Wine's folder with its drive C.
set -euo pipefail
cd "$(dirname "$0")/../.."
wine=$PWD/bin/wine
export GOOS=windows GOARCH=amd64 CGO_ENABLED=0 GOWORK=off GOGC=400 GOMEMLIMIT=1GiB # roomy, as in the Makefile

# wrapper PROGRAM gives the script. Lists of kubeconfigs get the separator of Windows.
wrapper() {
	cat <<-END
		#!/bin/sh
		case \$KUBECONFIG in
		/*:/*) export KUBECONFIG="\$(printf %s "\$KUBECONFIG" | sed 's,:/,;/,g')" ;;
		esac
		exec wine64 "$1" "\$@"
	END
}

# build MODULE PACKAGE…
build() {
	local package name
	for package in "${@:2}"; do
		name=${package##*/}
		go -C "$1" build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$wine/exe/$name.exe" "$package"
		wrapper "$wine/exe/$name.exe" >"$wine/$name"
		chmod +x "$wine/$name"
	done
}

mkdir -p "$wine/exe"
[ -e "$wine/exe/kubectl.exe" ] || echo "the programs for Windows: building, which takes about 3 minutes the first time" >&2
build . ./cmd/kubectl-fernet ./hack/wine/hold
build decrypt ./cmd/fernet-exec
build hack/localkube/tools k8s.io/kubernetes/cmd/kubectl
rm "$wine/kubectl" # by itself that name is Linux's

if [ ! -e "$wine/drive/ready" ]; then
	rm -rf "$wine/drive"
	wine64 wineboot --init
	x86_64-w64-mingw32-gcc -Os -s -shared -nostartfiles -Wl,-e,0 -o "$wine/drive/drive_c/windows/system32/bcryptprimitives.dll" \
		hack/wine/bcryptprimitives.c -ladvapi32
	touch "$wine/drive/ready"
fi
