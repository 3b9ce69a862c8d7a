# SPDX-License-Identifier: Apache-2.0
"""Writes bundle.json to standard output: the tokens of bundles, each in its place,
and the bindings that tie them there and to each other.

Uses nothing but hmac and hashlib, so that it is a second implementation of the
rule and not a copy of the first. The tokens are texts of a token's looks; a
binding is over the texts, whatever they open to.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

INFO = "kubectl-fernet binding v2"
KEYS = [hashlib.sha256(b"kubectl-fernet vector key %d" % n).digest() for n in range(3)]


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def subkey(key, info):
    """HKDF-SHA256 (RFC 5869), empty salt, 32 bytes."""
    return mac(mac(b"", key), info + b"\x01")


def u32(n):
    return struct.pack(">I", n)


def text(part):
    return u32(len(part.encode())) + part.encode()


def binding(key, namespace, secret, data):
    names = sorted(data, key=str.encode)
    message = text(namespace) + text(secret) + u32(len(data))
    message += b"".join(text(name) + text(data[name]) for name in names)
    tag = base64.urlsafe_b64encode(mac(subkey(key, INFO.encode()), message)).decode().rstrip("=")
    return "v2:%d:%s" % (len(data), tag)


def token(seed, size=73):
    noise = b"".join(hashlib.sha256(b"%s %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return base64.urlsafe_b64encode(b"\x80" + bytes(4) + noise[: size - 5]).decode()


A, B, C = token(b"a"), token(b"b"), token(b"c", 89)
TWO = {"SECRET_A": A, "SECRET_B": B}
PLACES = [
    ("usual", 0, "default", "web-g1", TWO),
    ("another key", 1, "default", "web-g1", TWO),
    ("a third key", 2, "default", "web-g1", TWO),
    ("another namespace", 0, "prod", "web-g1", TWO),
    ("another generation", 0, "default", "web-g2", TWO),
    ("border one to the left", 0, "defaul", "tweb-g1", TWO),
    ("one entry", 0, "default", "web-g1", {"SECRET_A": A}),
    ("the other entry", 0, "default", "web-g1", {"SECRET_B": B}),
    ("tokens swapped", 0, "default", "web-g1", {"SECRET_A": B, "SECRET_B": A}),
    ("one token for both", 0, "default", "web-g1", {"SECRET_A": A, "SECRET_B": A}),
    ("one more entry", 0, "default", "web-g1", {**TWO, "SECRET_C": C}),
    ("SECRET-A beside SECRET_A", 0, "default", "web-g1", {"SECRET_A": A, "SECRET-A": B}),
    ("the same, the other way round", 0, "default", "web-g1", {"SECRET_A": B, "SECRET-A": A}),
    ("border between name and token", 0, "default", "web-g1", {"SECRET_": "A" + A, "SECRET_B": B}),
    ("border between entries", 0, "default", "web-g1", {"SECRET_A": A + "SECRET_B" + B}),
    ("names sort by their bytes", 0, "default", "web-g1",
     {"b": A, "B": B, "a.b": C, "a-b": A, "a_b": B, "A10": C, "A9": A, "_": B, "Z": C}),
    ("a name that begins like another", 0, "default", "web-g1", {"SECRET": A, "SECRET.A": B, "SECRET_A": C, "SECRETA": A}),
    ("case counts", 0, "default", "web-g1", {"Secret_A": A, "Secret_B": B}),
    ("UTF-8 sorts by its bytes, not by UTF-16", 0, "größe", "schlüssel", {"\uffee": A, "\U0001d11e": B, "é": C}),
    ("empty texts", 0, "", "", {"": ""}),
    ("no entry at all", 0, "default", "web-g1", {}),
    ("longest names", 0, "n" * 63, "s." * 120 + "s-g1", {"D" * 253: A, "D" * 252: B}),
    ("ten entries", 1, "default", "web-g10", {"SECRET_%d" % n: token(b"%d" % n) for n in range(10)}),
    ("300 entries", 2, "default", "web-g300", {"SECRET_%d" % n: token(b"%d" % n) for n in range(300)}),
    ("a token longer than 65,535", 2, "default", "web-g1", {"SECRET_A": token(b"d", 57 + 16 * 3200), "SECRET_B": B}),
]

cases = [
    {
        "name": name,
        "key": base64.urlsafe_b64encode(KEYS[n]).decode(),
        "namespace": namespace,
        "secret": secret,
        "data": data,
        "binding": binding(KEYS[n], namespace, secret, data),
    }
    for name, n, namespace, secret, data in PLACES
]
assert len({case["binding"] for case in cases}) == len({case["name"] for case in cases}) == len(cases)
json.dump({"info": INFO, "cases": cases}, sys.stdout, indent=2)
sys.stdout.write("\n")
