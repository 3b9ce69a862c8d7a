# SPDX-License-Identifier: Apache-2.0
"""Python's cryptography behind the protocol of doc.go."""

import base64
import json
import sys

from cryptography.fernet import Fernet, MultiFernet


def answer(op, keys, token=None, data=None, time=None):
    ring = MultiFernet([Fernet(key) for key in keys]) if len(keys) > 1 else Fernet(keys[0])
    if op == "seal":
        return {"token": ring.encrypt_at_time(base64.b64decode(data), time).decode()}
    if op == "rotate":
        return {"token": ring.rotate(token).decode()}
    return {"data": base64.b64encode(ring.decrypt(token.encode())).decode()}


for line in sys.stdin:
    try:
        reply = answer(**json.loads(line))
    except Exception as err:
        reply = {"error": type(err).__name__}
    print(json.dumps(reply), flush=True)
