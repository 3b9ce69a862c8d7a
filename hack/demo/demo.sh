#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The whole tool in one go, against a real API server that exists only for it:
# push a real .env, look at what is in the cluster and in the ledger, open a
# token as an application would, push again. Leaves no process and no file.
set -euo pipefail
# shellcheck source=hack/demo/stage.sh
source "$(dirname "$0")/stage.sh"

say "A control plane of its own: etcd and kube-apiserver"
control_plane --api-only

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

say "The second act: an .env of another kind, and one Secret for all of it. init adds a key and the settings"
mkdir shop
cd shop
install -m 600 "$root/hack/demo/shop.env" .env
run cat .env
run kubectl create namespace shop
echo "\$ kubectl fernet init --bundle web --match '*' --key-secret fernet-key -n shop"
kubectl fernet init --bundle web --match '*' --key-secret fernet-key -n shop

say "Push: the tokens are one Secret, and so is the key that opens them. Two lines of envFrom are all that a pod needs"
run kubectl fernet push
run kubectl get secrets -n shop

say "An application in that pod: its environment has the tokens and the key, as envFrom gives them"
environment() { # a variable for each data key
	kubectl get secret "$1" -n shop -o go-template='{{range $name, $value := .data}}{{$name}}={{$value | base64decode}}{{"\n"}}{{end}}'
}
{ environment web-g1; environment fernet-key-g1; } >environ
cut -c1-90 environ | sed -n 's/^\(FERNET_KEY[A-Z_]*\)=.*/\1=…/p; /^FERNET/!s/$/…/p'
echo '$ demo-open --environ DATABASE_URL REDIS_URL SMTP_PASSWORD'
# shellcheck disable=SC2046 # names, tokens and keys have no blanks
env -i $(cat environ) "$root/bin/demo-open" --environ DATABASE_URL REDIS_URL SMTP_PASSWORD

say "A changed value: told by the name of its entry, and written as the next generation"
sed -i 's/^SMTP_PASSWORD=.*/SMTP_PASSWORD=another-one/' .env
run kubectl fernet push || true
run kubectl fernet push --update
run kubectl fernet status
