#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The whole tool in one go, against a real API server that exists only for it:
# push a real .env, look at what is in the cluster and in the ledger, open a
# token as an application would, push again. Leaves no process and no file.
set -euo pipefail
# shellcheck source=hack/demo/stage.sh
source "$(dirname "$0")/stage.sh"
ln -s "$root/bin/demo-open" "$work/bin/"

say "A control plane of its own: etcd, kube-apiserver, kube-controller-manager"
control_plane

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
