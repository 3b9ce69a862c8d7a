# SPDX-License-Identifier: Apache-2.0
#
# What the demonstrations share; they source it. A folder with an .env, a control
# plane that exists only for the one demonstration, and a PATH on which bin/ has
# kubectl and the plugin. When the script ends, however it ends, no process and no file
# is left.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)

cleanup() {
	code=$?
	pids=$(jobs -p)
	if [ -n "$pids" ]; then
		# shellcheck disable=SC2086 # one word each
		kill $pids 2>/dev/null || true
		wait
	fi
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
PATH=$root/bin:$PATH

# control_plane starts localkube, which may get further flags.
control_plane() {
	mkfifo "$work/ready"
	"$root/bin/localkube" "$@" --data-dir "$work/data" --kubeconfig "$KUBECONFIG" >"$work/ready" &
	local line
	read -r line <"$work/ready"
	echo "$line"
	cd "$work"
	install -m 600 "$root/testdata/original.env" .env
	exec 2>&1 # one stream, in the order of a terminal
}
