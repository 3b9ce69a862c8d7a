#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: hack/test-tools.sh [windows]
#
# Makes sure of what `make test`, or `make test-windows`, needs beside Go, git and make: installs
# what is missing through apt-get when it may, and otherwise fails with the line to type.
set -euo pipefail

need=()
have() { command -v "$1" >/dev/null 2>&1; }
if [ "${1:-}" = windows ]; then
	PATH=$PATH:/usr/lib/wine # where Debian has it
	have wine64 || need+=(wine64)
	have x86_64-w64-mingw32-gcc || need+=(gcc-mingw-w64-x86-64-win32)
	have python3 || need+=(python3)
	SKIP_INTEROP=1
fi
have gcc || need+=(gcc libc6-dev)
if [ "${SKIP_INTEROP:-}" != 1 ]; then
	if [ ! -x /usr/bin/python3 ]; then
		need+=(python3 python3-cryptography python3-dotenv)
	else
		/usr/bin/python3 -c 'import cryptography.fernet' 2>/dev/null || need+=(python3-cryptography)
		/usr/bin/python3 -c 'import dotenv' 2>/dev/null || need+=(python3-dotenv)
	fi
	have node || need+=(nodejs)
	have npm || need+=(npm)
	have ruby || need+=(ruby)
	have php || need+=(php-cli)
	have javac || need+=(default-jdk-headless)
fi
if [ "${1:-}" != windows ]; then
	have strace || need+=(strace)
	have tmux || need+=(tmux)
	have xxd || need+=(xxd)
fi
have openssl || need+=(openssl)
[ ${#need[@]} -eq 0 ] && exit 0

line="apt-get update && apt-get install -y --no-install-recommends ${need[*]}"
if [ "$(id -u)" = 0 ] && have apt-get; then
	echo "installing for the tests: ${need[*]}"
	apt-get update -qq >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
	exit 0
fi
echo "error: the tests need: ${need[*]}" >&2
echo "hint: sudo sh -c '$line'" >&2
exit 1
