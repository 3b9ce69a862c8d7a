# SPDX-License-Identifier: Apache-2.0
"""Writes ledgermac.json to standard output: rows of a ledger without their last
cell, and the macs that sign them.

Uses nothing but hmac and hashlib, so that it is a second implementation of the
rule and not a copy of the first. The tokens are texts of a token's looks, and the
bindings nobody's: a mac is over the cells, whatever they say.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

INFO = "kubectl-fernet ledger v1"
ID_INFO = "kubectl-fernet key id v1"
KEYS = [hashlib.sha256(b"kubectl-fernet vector key %d" % n).digest() for n in range(3)]


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def subkey(key, info):
    """HKDF-SHA256 (RFC 5869), empty salt, 32 bytes."""
    return mac(mac(b"", key), info.encode() + b"\x01")


def text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def sign(key, cells):
    message = b"".join(struct.pack(">I", len(c)) + c for c in (cell.encode() for cell in cells))
    key_id = "k" + mac(subkey(key, ID_INFO), b"").hex()[:8]
    return "v1:" + key_id + ":" + text(mac(subkey(key, INFO), message)[:16])


def token(seed, size=73):
    noise = b"".join(hashlib.sha256(b"%s %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return base64.urlsafe_b64encode(b"\x80" + bytes(4) + noise[: size - 5]).decode()


USUAL = {
    "time": "2026-01-02T03:04:05Z",
    "operation": "push",
    "state": "created",
    "cluster": "production",
    "namespace": "default",
    "secret": "secret-test-1-g2",
    "generation": "2",
    "env_key": "SECRET-TEST-1",
    "key_id": "k01234567",
    "token": token(b"a"),
    "binding": "v1:" + text(hashlib.sha256(b"a").digest()),
    "uid": "11111111-2222-4333-8444-555555555555",
    "since": "1",
}


def row(**changes):
    return list({**USUAL, **changes}.values())


ROWS = [
    ("usual", 0, row()),
    ("another key", 1, row()),
    ("a third key", 2, row()),
    ("planned: no uid", 0, row(state="planned", uid="")),
    ("another time", 0, row(time="2026-01-02T03:04:06Z")),
    ("another operation", 0, row(operation="rotate")),
    ("another state", 0, row(state="deleted")),
    ("another cluster", 0, row(cluster="staging")),
    ("another namespace", 0, row(namespace="kube-system")),
    ("another Secret and generation", 0, row(secret="secret-test-1-g3", generation="3")),
    ("another data key", 0, row(env_key="SECRET_TEST_1")),
    ("another key id", 0, row(key_id="k76543210")),
    ("another token", 0, row(token=token(b"b"))),
    ("another binding", 0, row(binding="v1:" + text(hashlib.sha256(b"b").digest()))),
    ("no binding", 0, row(binding="")),
    ("another uid", 0, row(uid="11111111-2222-4333-8444-666666666666")),
    ("another since", 0, row(since="2")),
    ("generation and since swapped", 0, row(generation="1", since="2")),
    ("border one to the left", 0, row(cluster="productio", namespace="ndefault")),
    ("border one to the right", 0, row(cluster="productiond", namespace="efault")),
    ("all in one", 0, ["".join(USUAL.values())] + [""] * 12),
    ("all empty", 0, [""] * 13),
    ("a cell with a comma and quotes: as it is, not as CSV has it", 0, row(cluster='a,"b"')),
    ("a length in the text", 0, row(cluster="production\0\0\0\x07default", namespace="")),
    ("UTF-8, lengths in bytes", 0, row(cluster="größe-日本語-🔑")),
    ("a length over 255", 1, row(token=token(b"c", 57 + 16 * 256))),
    ("a length over 65,535", 2, row(token=token(b"d", 57 + 16 * 3200))),
]

cases = [
    {"name": name, "key": base64.urlsafe_b64encode(KEYS[n]).decode(), "cells": cells, "mac": sign(KEYS[n], cells)}
    for name, n, cells in ROWS
]
assert len({case["mac"] for case in cases}) == len({case["name"] for case in cases}) == len(cases)
json.dump({"info": INFO, "cases": cases}, sys.stdout, indent=2)
sys.stdout.write("\n")
