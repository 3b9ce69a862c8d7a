# SPDX-License-Identifier: Apache-2.0
"""Writes binding.json to standard output: tokens in their places, and the
bindings that tie them there.

Uses nothing but hmac and hashlib, so that it is a second implementation of the
rule and not a copy of the first. The tokens are texts of a token's looks; a
binding is over the text, whatever it opens to.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys

INFO = "kubectl-fernet binding v1"
KEYS = [hashlib.sha256(b"kubectl-fernet vector key %d" % n).digest() for n in range(3)]


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def subkey(key, info):
    """HKDF-SHA256 (RFC 5869), empty salt, 32 bytes."""
    return mac(mac(b"", key), info + b"\x01")


def binding(key, parts):
    message = b"".join(struct.pack(">I", len(p)) + p for p in (part.encode() for part in parts))
    return "v1:" + base64.urlsafe_b64encode(mac(subkey(key, INFO.encode()), message)).decode().rstrip("=")


def token(seed, size=73):
    noise = b"".join(hashlib.sha256(b"%s %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return base64.urlsafe_b64encode(b"\x80" + bytes(4) + noise[: size - 5]).decode()


T = token(b"a")
PLACES = [
    ("usual", 0, "default", "secret-test-1", "SECRET-TEST-1", T),
    ("another key", 1, "default", "secret-test-1", "SECRET-TEST-1", T),
    ("a third key", 2, "default", "secret-test-1", "SECRET-TEST-1", T),
    ("another namespace", 0, "prod", "secret-test-1", "SECRET-TEST-1", T),
    ("another Secret", 0, "default", "secret-test-1-g2", "SECRET-TEST-1", T),
    ("another data key", 0, "default", "secret-test-1", "SECRET_TEST_1", T),
    ("another token", 0, "default", "secret-test-1", "SECRET-TEST-1", token(b"b")),
    ("case counts", 0, "default", "secret-test-1", "Secret-Test-1", T),
    ("Secret and data key swapped", 0, "default", "SECRET-TEST-1", "secret-test-1", T),
    ("border one to the left", 0, "defaul", "tsecret-test-1", "SECRET-TEST-1", T),
    ("border one to the right", 0, "defaults", "ecret-test-1", "SECRET-TEST-1", T),
    ("all in one", 0, "defaultsecret-test-1SECRET-TEST-1" + T, "", "", ""),
    ("all empty", 0, "", "", "", ""),
    ("namespace empty", 0, "", "secret-test-1", "SECRET-TEST-1", T),
    ("Secret empty", 0, "default", "", "SECRET-TEST-1", T),
    ("data key empty", 0, "default", "secret-test-1", "", T),
    ("token empty", 0, "default", "secret-test-1", "SECRET-TEST-1", ""),
    ("line break behind the token", 0, "default", "secret-test-1", "SECRET-TEST-1", T + "\n"),
    ("zero bytes", 0, "\0", "\0\0", "\0\0\0", "\0\0\0\0"),
    ("a length in the text", 0, "default\0\0\0\x01", "x", "SECRET-TEST-1", T),
    ("UTF-8, lengths in bytes", 0, "größe", "schlüssel-✓", "SECRET-日本語", T),
    ("UTF-8 beyond the BMP", 0, "🔑", "🔒🔓", "SECRET-𝄞", T),
    ("UTF-8, not normalised", 0, "e\u0301", "\u00e9", "SECRET", T),
    ("longest names", 0, "n" * 63, "s." * 126 + "s", "D" * 253, T),
    ("256 characters", 0, "default", "secret", "D" * 256, T),
    ("long token", 1, "default", "secret-long", "SECRET-LONG", token(b"c", 57 + 16 * 256)),
    ("longer than 65,535", 2, "default", "secret-longer", "SECRET-LONGER", token(b"d", 57 + 16 * 3200)),
]

cases = [
    {
        "name": name,
        "key": base64.urlsafe_b64encode(KEYS[n]).decode(),
        "namespace": namespace,
        "secret": secret,
        "data_key": data_key,
        "token": text,
        "binding": binding(KEYS[n], (namespace, secret, data_key, text)),
    }
    for name, n, namespace, secret, data_key, text in PLACES
]
assert len({case["binding"] for case in cases}) == len({case["name"] for case in cases}) == len(cases)
json.dump({"info": INFO, "cases": cases}, sys.stdout, indent=2)
sys.stdout.write("\n")
