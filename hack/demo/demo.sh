#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The whole tool in one go, against a real API server that exists only for it:
# push a real .env, look at what is in the cluster and in the ledger, open a
# token as an application would, push again. Leaves no process and no file.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
plane=

cleanup() {
	code=$?
	if [ -n "$plane" ]; then kill "$plane" 2>/dev/null && wait "$plane" 2>/dev/null; fi
	rm -rf "$work"
	exit $code
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
	printf '$ %s\n' "$*"
	"$@"
}

export KUBECONFIG=$work/kubeconfig
PATH=$work/bin:$PATH:$root/bin # a kubectl of the system comes first
mkdir "$work/bin"
ln -s "$root/bin/kubectl-fernet" "$root/bin/demo-open" "$work/bin/"

say "A control plane of its own: etcd, kube-apiserver, kube-controller-manager"
mkfifo "$work/ready"
"$root/bin/localkube" --data-dir "$work/data" --kubeconfig "$KUBECONFIG" >"$work/ready" &
plane=$!
read -r line <"$work/ready"
echo "$line"

cd "$work"
install -m 600 "$root/testdata/original.env" .env

exec 2>&1 # one stream, in the order of a terminal

say "Push the secrets of .env"
run kubectl fernet push --env .env

say "The ledger beside it: names, key ids and tokens, made to be committed"
cut -c1-150 fernet-ledger.csv | sed 's/$/…/'

say "What the cluster has: immutable, labelled, tokens only"
run kubectl get secrets -l app.kubernetes.io/managed-by=kubectl-fernet \
	-o custom-columns='NAME:.metadata.name,IMMUTABLE:.immutable,LABELS:.metadata.labels,DATA:.data' | cut -c1-200

say "An application opens one: the token from its Secret, the key from its environment"
kubectl get secret secret-test-1 -o 'jsonpath={.data.SECRET-TEST-1}' | base64 -d >token
FERNET_KEY=$(sed -n 's/^KEY=//p' .env) run demo-open token

say "Push again: nothing to do"
run kubectl fernet push --env .env
