#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds a control plane into bin/: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and kubectl,
# unmodified and of the versions in tools/go.mod, and the launcher localkube. Does nothing when neither the versions nor Go
# changed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$root/bin
commands=(etcd kube-apiserver kube-controller-manager kube-scheduler kwok kubectl)
stages=$bin/kwok-stages.yaml

fail() {
	echo "make localkube: $1" >&2
	exit 1
}

trap 'echo "make localkube: not built; the reason is above" >&2' ERR

[ "$(uname -s)" = Linux ] || fail "a control plane runs on Linux only, this is $(uname -s)"
command -v go >/dev/null || fail "go is not on PATH; install Go 1.26 or newer: https://go.dev/dl"

# Nothing around this checkout may change what is built: no workspace, no git state, no C compiler.
export GOWORK=off CGO_ENABLED=0
flags=(-trimpath -buildvcs=false)

wanted() {
	(cd "$here/tools" && go version && sha256sum go.mod go.sum ../build.sh)
}

built() {
	local command
	for command in "${commands[@]}"; do
		[ -x "$bin/$command" ] || return 1
	done
	[ -s "$stages" ] && [ "$(cat "$bin/.control-plane" 2>/dev/null)" = "$1" ]
}

# build is go build without a line for each of some two hundred modules that it downloads.
build() {
	go build "${flags[@]}" "$@" 2>&1 | { grep -v '^go: downloading ' || true; } >&2
}

build_control_plane() {
	cd "$here/tools"
	local etcd kubernetes kwok package stamp=()
	etcd=$(go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)
	kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
	kwok=$(go list -m -f '{{.Version}}' sigs.k8s.io/kwok)
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		stamp+=(-X "$package.gitVersion=$kubernetes" -X "$package.gitMajor=$(cut -d. -f1 <<<"${kubernetes#v}")"
			-X "$package.gitMinor=$(cut -d. -f2 <<<"$kubernetes")")
	done
	echo "building etcd $etcd"
	build -ldflags '-s -w' -o "$bin/etcd" go.etcd.io/etcd/server/v3
	echo "building kube-apiserver, kube-controller-manager, kube-scheduler and kubectl $kubernetes (once, about 5 minutes)"
	build -ldflags "-s -w ${stamp[*]}" -o "$bin/" \
		k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubectl}
	echo "building kwok $kwok"
	build -ldflags '-s -w' -o "$bin/kwok" sigs.k8s.io/kwok/cmd/kwok
	fast_stages
}

# fast_stages puts those of kwok's stages into one file that make a node, and the pods on it, ready at once.
fast_stages() {
	local dir
	dir=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
	awk 'FNR == 1 { print "---" } { print }' "$dir"/node/fast/node-*.yaml "$dir"/pod/fast/pod-*.yaml >"$stages"
}

mkdir -p "$bin"
want=$(wanted)
if ! built "$want"; then
	rm -f "$bin/.control-plane"
	(build_control_plane)
	echo "$want" >"$bin/.control-plane"
fi
cd "$root"
build -o "$bin/localkube" ./hack/localkube
