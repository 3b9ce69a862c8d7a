# SPDX-License-Identifier: Apache-2.0
"""Writes keyid.json to standard output: Fernet keys, and the ids of the keys.

Uses nothing but hmac and hashlib, so that it is a second implementation of the
rule and not a copy of the first.
"""

import base64
import hashlib
import hmac
import json
import sys

INFO = "kubectl-fernet key id v1"


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def subkey(key, info):
    """HKDF-SHA256 (RFC 5869), empty salt, 32 bytes."""
    return mac(mac(b"", key), info + b"\x01")


def key_id(key):
    return "k" + mac(subkey(key, INFO.encode()), b"").hex()[:8]


def keys():
    for n in range(16):
        yield "key %d" % n, hashlib.sha256(b"kubectl-fernet vector key %d" % n).digest()
    yield "one bit, the first", b"\x80" + bytes(31)
    yield "one bit, the last", bytes(31) + b"\x01"
    yield "signing half zero", bytes(16) + b"\x01" * 16
    yield "encrypting half zero", b"\x01" * 16 + bytes(16)
    yield "counting up", bytes(range(32))
    yield "all ones", b"\xff" * 32
    yield "text of minus signs", base64.urlsafe_b64decode("-" * 42 + "8=")
    yield "text of underscores", base64.urlsafe_b64decode("_" * 43 + "=")[:31] + b"\xfe"


# RFC 5869, A.3: empty salt and info. The rule is that one's first 32 bytes.
assert subkey(b"\x0b" * 22, b"").hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"

cases = [
    {
        "name": name,
        "key": base64.urlsafe_b64encode(key).decode(),
        "subkey": subkey(key, INFO.encode()).hex(),
        "id": key_id(key),
    }
    for name, key in keys()
]
assert len({case["id"] for case in cases}) == len({case["key"] for case in cases}) == len(cases)
json.dump({"info": INFO, "cases": cases}, sys.stdout, indent=2)
sys.stdout.write("\n")
