# SPDX-License-Identifier: Apache-2.0
"""Writes ledgermac.json to standard output: rows of a ledger without their last
cell, and the mac that belongs there.

Uses nothing but hmac and hashlib, so that it is a second implementation of the
rule and not a copy of the first. A mac is over the text of the cells, whatever it
means: cells of the vectors need not be valid ones.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

INFO = "kubectl-fernet ledger v1"
KEYS = [hashlib.sha256(b"kubectl-fernet vector key %d" % n).digest() for n in range(3)]
COLUMNS = "time operation state cluster namespace secret generation env_key key_id token binding uid since".split()


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def subkey(key, info):
    """HKDF-SHA256 (RFC 5869), empty salt, 32 bytes."""
    return mac(mac(b"", key), info + b"\x01")


def key_id(key):
    return "k" + mac(subkey(key, b"kubectl-fernet key id v1"), b"").hex()[:8]


def row_mac(key, cells):
    message = b"".join(struct.pack(">I", len(c)) + c for c in (cell.encode() for cell in cells))
    text = base64.urlsafe_b64encode(mac(subkey(key, INFO.encode()), message)[:16]).decode().rstrip("=")
    return "v1:" + key_id(key) + ":" + text


def token(seed, size=73):
    noise = b"".join(hashlib.sha256(b"%s %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return base64.urlsafe_b64encode(b"\x80" + bytes(4) + noise[: size - 5]).decode()


USUAL = dict(zip(COLUMNS, [
    "2026-01-02T03:04:05Z", "push", "created", "production", "web", "secret-a", "1", "SECRET_A", key_id(KEYS[0]), token(b"a"),
    "v1:0MZKKG-F0ZGAQJ_dWP6EFjmSgD4Eg0rt0XVb2dJX250", "00000001-1111-4222-8333-000000000001", "1"]))

ROWS = [("usual", 0, {}), ("another key", 1, {}), ("a third key, about the first one's token", 2, {})]
ROWS += [("another " + column, 0, {column: USUAL[column] + "x"}) for column in COLUMNS]
ROWS += [("no " + column, 0, {column: ""}) for column in COLUMNS]
ROWS += [
    ("all empty", 0, {column: "" for column in COLUMNS}),
    ("a border one to the left", 0, {"cluster": "productio", "namespace": "nweb"}),
    ("a border one to the right", 0, {"cluster": "productionw", "namespace": "eb"}),
    ("two cells swapped", 0, {"namespace": "secret-a", "secret": "web"}),
    ("a comma and a quote", 0, {"cluster": 'arn:aws:eks:eu, "north"'}),
    ("UTF-8, lengths in bytes", 0, {"cluster": "größe-✓"}),
    ("UTF-8 beyond the BMP", 0, {"cluster": "🔑"}),
    ("a zero byte", 0, {"cluster": "\0"}),
    ("a long token", 1, {"token": token(b"c", 57 + 16 * 3200)}),
]

cases = []
for name, n, changes in ROWS:
    cells = [{**USUAL, **changes}[column] for column in COLUMNS]
    cases.append({"name": name, "key": base64.urlsafe_b64encode(KEYS[n]).decode(), "cells": cells, "mac": row_mac(KEYS[n], cells)})
assert len({case["mac"] for case in cases}) == len({case["name"] for case in cases}) == len(cases)
json.dump({"info": INFO, "columns": COLUMNS, "cases": cases}, sys.stdout, indent=2)
sys.stdout.write("\n")
