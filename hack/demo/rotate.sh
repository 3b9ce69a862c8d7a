#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A rotation from the first key to the last trace of it, under a Deployment that
# reads its tokens and its keyring from Secrets. All the while hack/demo/reader
# looks at each Ready pod: what it has, it opens. Leaves no process and no file.
set -euo pipefail
# shellcheck source=hack/demo/stage.sh
source "$(dirname "$0")/stage.sh"

fail() {
	echo "demo-rotate: $1" >&2
	exit 1
}

# blocked runs a command that has to end with exit code 1, and keeps what it said.
blocked() {
	local code=0
	run "$@" 2>&1 | tee "$work/said" || code=$?
	[ $code = 1 ] || fail "exit code $code, want 1"
	echo "(exit code 1)"
}

say "A control plane of its own, with a scheduler and a fake node"
control_plane
sed -n 's/^KEY=//p' .env >"$work/old-key"

say "Push, then stage the next key and keep the keyring in the cluster: FERNET_KEY has the current key, FERNET_KEY_PREVIOUS the next"
run kubectl fernet push
run kubectl fernet rotate --prepare --key-secret fernet-key --yes

say "Workloads that read both: two Deployments, one of them applied on the server's side, a StatefulSet, a DaemonSet, and one that has never worked"
cp "$root/hack/demo/web.yaml" "$root/hack/demo/api.yaml" .
run cat web.yaml api.yaml
run kubectl create -f web.yaml
run kubectl apply --server-side -f api.yaml
for workload in deployment/web deployment/api statefulset/db daemonset/agent; do
	run kubectl rollout status "$workload" --timeout=5m
done

say "From here on a reader opens each token of each Ready pod with that pod's keys, again and again"
mkfifo "$work/reader"
demo-reader default >"$work/reader" &
reader=$!
exec 3<"$work/reader"
read -r line <&3 || fail "the reader did not start"
echo "$line"

say "Rotate: new key, new generations, and the workloads follow. The broken one is named, and holds nobody up"
blocked kubectl fernet rotate --key-secret fernet-key --rollout --yes
for workload in daemonset/agent deployment/api deployment/web statefulset/db; do
	grep -q "^$workload patched and rolled out$" "$work/said" || fail "$workload was not rolled out"
done
grep -q '^deployment/broken patched, unhealthy as before$' "$work/said" || fail "the broken one is not named"
run kubectl get replicasets,secrets

say "Retire is blocked: the old ReplicaSets are the way back"
blocked kubectl fernet retire
grep -q 'replicaset.apps/web-' "$work/said" || fail "the old ReplicaSet is not named"

say "Mend the broken one: its old pods may go then"
run kubectl patch deployment broken -p '{"spec":{"template":{"spec":{"serviceAccountName":"default"}}}}'
run kubectl rollout status deployment/broken --timeout=5m

say "Give the way back up. The file of the api names an old generation still: what it names stays"
blocked kubectl fernet retire --ignore history --yes
grep -q '^secret/secret-test-1 deleted$' "$work/said" || fail "what nothing names was not deleted"
grep -q 'deployment.apps/api' "$work/said" || fail "the manifest that is behind is not named"

say "Change the file, apply it, and nothing names the old generation any more"
sed -i 's/secret-test-2, key/secret-test-2-g2, key/; s/fernet-key-g1/fernet-key-g2/' api.yaml
run kubectl apply --server-side -f api.yaml
run kubectl fernet retire --ignore history --yes
if grep -q '^KEY_PREVIOUS' .env; then fail ".env still holds the old key"; fi

say "The keyring in the cluster loses the old key with the next rotation, or at once"
run kubectl fernet rollout --drop-previous --yes
sed -i 's/fernet-key-g2/fernet-key-g3/' api.yaml
run kubectl apply --server-side -f api.yaml
run kubectl fernet retire --ignore history --yes
run kubectl get replicasets,secrets

say "What the reader saw"
kill "$reader"
saw=0
wait "$reader" || saw=$?
tee "$work/seen" <&3
[ $saw = 0 ] || fail "the reader saw what must not be"

say "The old key is nowhere"
kubectl get secrets -o go-template='{{range .items}}{{range .data}}{{base64decode .}}{{"\n"}}{{end}}{{end}}' >"$work/held"
if grep -qFf "$work/old-key" "$work/held" .env; then fail "the old key is still held"; fi
old_id=$(sed -n 2p fernet-ledger.csv | cut -d, -f9)
run kubectl get secrets -l "kubectl-fernet.github.io/key-id=$old_id"
[ -z "$(kubectl get secrets -l "kubectl-fernet.github.io/key-id=$old_id" -o name)" ] || fail "a Secret carries its id"

say "Done: $(head -n 1 "$work/seen"), and each token opened in each of them"
