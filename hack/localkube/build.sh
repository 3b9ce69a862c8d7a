#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: hack/localkube/build.sh [--installed] [PROGRAM...]
#
# Builds the programs of a control plane, by default all, into bin/, unmodified and of the versions in tools/go.mod, and the
# launcher localkube. Does nothing for a program for which neither the versions nor Go changed.
#
# With --installed a program from KUBEBUILDER_ASSETS or PATH is as good as one to build, and bin/ has a link to it, if its
# version is the one in tools/go.mod give or take a minor: what the skew policy grants a kubectl. Tests want the version itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$root/bin
stages=kwok-stages.yaml

say() { echo "$*" >&2; }

fail() {
	say "make localkube: $1"
	exit 1
}

trap 'say "make localkube: not built; the reason is above"' ERR

[ "$(uname -s)" = Linux ] || fail "a control plane runs on Linux only, this is $(uname -s)"
command -v go >/dev/null || fail "go is not on PATH; install Go 1.26 or newer: https://go.dev/dl"

# Nothing around this checkout may change what is built: no workspace, no git state, no C compiler.
export GOWORK=off CGO_ENABLED=0

# Compilers that collect garbage later take a tenth less time; the limit keeps them small enough for any machine.
export GOGC=400 GOMEMLIMIT=1GiB

package() {
	case $1 in
	etcd) echo go.etcd.io/etcd/server/v3 ;;
	kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
	*) echo "k8s.io/kubernetes/cmd/$1" ;;
	esac
}

# version is the version in tools/go.mod of a program's module.
version() {
	awk -v module="$(package "$1" | sed 's,/cmd/.*,,')" '$1 == module && $2 ~ /^v/ { print $2 }' "$here/tools/go.mod"
}

# built tells whether bin/ has what would be built. A program's stamp says of which sources it is.
built() {
	[ -x "$bin/$1" ] && [ "$(cat "$bin/.$1" 2>/dev/null)" = "$sources" ] && { [ "$1" != kwok ] || [ -s "$bin/$stages" ]; }
}

# minor is a version's major and minor number: "1 36".
minor() { sed -nE 's/^[^0-9]*([0-9]+)\.([0-9]+)\..*/\1 \2/p' | head -n 1; }

# link_installed links bin/NAME to the first program of that name that fits, and says why others do not.
link_installed() {
	local path last='' want got ask=--version
	[ "$1" != kubectl ] || ask="version --client"
	read -ra want < <(version "$1" | minor)
	while read -r path; do
		path=$(realpath -s "$path")
		if [ "$(dirname "$path")" -ef "$bin" ] || [ "$path" -ef "$last" ]; then continue; fi
		last=$path
		# shellcheck disable=SC2086 # two words
		read -ra got < <({ "$path" $ask </dev/null 2>/dev/null || true; } | minor) || got=(unknown "")
		if [ "${got[0]}" = "${want[0]}" ] && [ $(((got[1] - want[1]) ** 2)) -le 1 ]; then
			say "$1: using $path, version ${got[0]}.${got[1]}"
			rm -f "$bin/.$1"
			ln -sfn "$path" "$bin/$1"
			return
		fi
		say "$1: not using $path, version ${got[0]}${got[1]:+.${got[1]}}; accepted: ${want[0]}.$((want[1] - 1)) to ${want[0]}.$((want[1] + 1))"
	done < <(PATH=${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS:}$PATH type -aP "$1")
	return 1
}

# go_build is go build without a line for each of some two hundred modules that it downloads, with the Makefile's flags: what
# both compile is then compiled once.
go_build() {
	go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false "$@" 2>&1 | { grep -v '^go: downloading ' || true; } >&2
}

# usual is how long a program takes on two idle cores, after those before it in the list of all.
usual() {
	case $1 in
	kube-apiserver) echo "3 minutes" ;;
	kube-controller-manager) echo "1 minute" ;;
	*) echo "30 seconds" ;;
	esac
}

build() {
	local kubernetes name number stamp=()
	kubernetes=$(version kube-apiserver)
	read -ra number < <(minor <<<"$kubernetes")
	for name in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		stamp+=(-X "$name.gitVersion=$kubernetes" -X "$name.gitMajor=${number[0]}" -X "$name.gitMinor=${number[1]}")
	done
	say "$1: building $(version "$1"), which takes about $(usual "$1") the first time"
	rm -f "$bin/.$1" "$bin/$1" # through a link, go build would write into what it points to
	cd "$here/tools"
	go_build -ldflags "-s -w ${stamp[*]}" -o "$bin/$1" "$(package "$1")"
	[ "$1" != kwok ] || fast_stages
	echo "$sources" >"$bin/.$1"
}

# fast_stages puts those of kwok's stages into one file that make a node, and the pods on it, ready at once.
fast_stages() {
	local dir
	dir=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
	awk 'FNR == 1 { print "---" } { print }' "$dir"/node/fast/node-*.yaml "$dir"/pod/fast/pod-*.yaml >"$bin/$stages"
}

installed=
if [ "${1:-}" = --installed ]; then
	installed=1
	shift
fi
[ $# -gt 0 ] || set -- etcd kube-apiserver kube-controller-manager kube-scheduler kwok kubectl

mkdir -p "$bin"
sources=$(cd "$here/tools" && go version && sha256sum go.mod go.sum ../build.sh)
for name; do
	built "$name" || { [ -n "$installed" ] && link_installed "$name"; } || (build "$name")
done
(cd "$root" && go_build -o "$bin/localkube" ./hack/localkube)
