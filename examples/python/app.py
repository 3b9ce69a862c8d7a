# SPDX-License-Identifier: Apache-2.0
"""A small HTTP service that reads its secrets from its environment.

GET / answers those who send SECRET_API_TOKEN as a bearer token; GET /rotation
names the secrets that are still under a previous key. Needs `cryptography`.
"""

import hmac
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.fernet import Fernet, InvalidToken


def keys(environ):
    """The keys, the primary one first. (MultiFernet would open all tokens, too,
    but does not tell which key did.)"""
    texts = environ["FERNET_KEY"] + "," + environ.get("FERNET_KEY_PREVIOUS", "")
    return [Fernet(text) for text in re.split(r"[\s,]+", texts) if text]


def open_token(fernets, token):
    for position, fernet in enumerate(fernets):
        try:
            return fernet.decrypt(token), position > 0
        except InvalidToken:
            pass
    raise InvalidToken


def read(environ):
    """The plaintexts by name, and the names that a previous key opened. Every
    SECRET_… must be a token that opens: who has no key cannot choose a value."""
    fernets = keys(environ)
    plain, old = {}, []
    for name, token in sorted(environ.items()):
        if not name.startswith("SECRET_"):
            continue
        try:
            plain[name], previous = open_token(fernets, token.strip().encode("ascii", "replace"))
        except InvalidToken:
            raise SystemExit(f"{name}: no key opens it") from None
        if previous:
            old.append(name)
    if not plain.get("SECRET_API_TOKEN"):
        raise SystemExit("no SECRET_API_TOKEN, or it is empty")
    return plain, old


def service(plain, old):
    want = b"Bearer " + plain["SECRET_API_TOKEN"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            got = self.headers.get("Authorization", "").encode("latin-1")
            if self.path == "/rotation":
                self.answer(200, "\n".join(old))
            elif self.path != "/":
                self.answer(404, "not found")
            elif hmac.compare_digest(got, want):
                self.answer(200, "hello")
            else:
                self.answer(401, "unauthorized")

        def answer(self, code, text):
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode() + b"\n")

        def log_message(self, *_):
            pass

    return Handler


def main():
    plain, old = read(os.environ)
    for name in old:
        print(f"{name} is still under a previous key", flush=True)
    address = os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))
    server = ThreadingHTTPServer(address, service(plain, old))
    print("listening on %s:%d" % server.server_address[:2], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
