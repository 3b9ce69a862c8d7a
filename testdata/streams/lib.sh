# SPDX-License-Identifier: Apache-2.0
#
# What the cases have at hand: three keys, and a few words for what they often do.

K1=8wjBHTr1D9Hn2w2E1wHkUOb0cSgEJVkUIYW6Jk1cP2E=
K2=T5YHqGT4w7N1V6gJ0WG4c8uU5ZJbQ5q2h4w0m1V3X9g=
K3=u0aFh9o7n1tq0H9Bz2h6uI3m8aS5v0mYp4y1Wc7dR2Q=
OLD=kde241e53 # the id of K1
NEW=kbf932118 # the id of K2
LEDGER=fernet-ledger.csv

# lines FILE LINE...: a file of these lines, for its owner only.
lines() { file=$1; shift; printf '%s\n' "$@" >"$file"; chmod 600 "$file"; }

# dotenv FILE LINE...: one under K1, for the cluster localkube.
dotenv() { file=$1; shift; lines "$file" "KEY=$K1" CLUSTER_NAME=localkube "$@"; }

# rotated FILE LINE...: the same with K2, and K1 before it.
rotated() { file=$1; shift; lines "$file" "KEY=$K2" "KEY_PREVIOUS=$K1" CLUSTER_NAME=localkube "$@"; }

# sub FILE OLD NEW: replaces a text, which must be there.
sub() { grep -q -e "$2" "$1"; sed -i "s|$2|$3|" "$1"; }

# quiet COMMAND...: what it says is of no interest, and it may find something.
quiet() { "$@" >/dev/null 2>&1 || [ $? = 1 ]; }

# workload KIND NAME SECRET [YAML]: with one replica that mounts a Secret; YAML goes into its spec.
workload() {
	kubectl create -f - <<END
apiVersion: apps/v1
kind: $1
metadata: {name: $2}
spec:
  ${4:-replicas: 1}
  selector: {matchLabels: {app: $2}}
  template:
    metadata: {labels: {app: $2}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: i}]
      volumes: [{name: a, secret: {secretName: $3}}]
END
}

# pod NAME SECRET: one that no node takes.
pod() {
	kubectl create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec: {schedulerName: nobody, containers: [{name: app, image: i}], volumes: [{name: a, secret: {secretName: $2}}]}
END
}

# pods N: waits until so many are left.
pods() {
	for _ in $(seq 300); do
		[ "$(kubectl get pods -o name | wc -l)" != "$1" ] || return 0
		sleep 0.2
	done
	return 1
}

# copied FROM TO [NAMESPACE]: the same Secret under another name.
copied() {
	kubectl get secret "$1" -o yaml | sed "s/^  name: .*/  name: $2/; /resourceVersion:/d; /uid:/d; /^  namespace:/d" | kubectl create -n "${3:-$NS}" -f -
}

# elsewhere: the contexts second (this cluster, another namespace) and third (a port where nobody listens).
elsewhere() {
	kubectl config set-context second --cluster localkube --user localkube-admin --namespace "$1"
	kubectl config set-cluster nowhere --server https://127.0.0.1:1
	kubectl config set-context third --cluster nowhere --user localkube-admin
}
