# SPDX-License-Identifier: Apache-2.0
"""A small HTTP service that reads its secrets from a mounted folder.

GET / answers those who send SECRET-API-TOKEN as a bearer token; GET /rotation
names the secrets that are still under a previous key. Needs `cryptography`.
"""

import hmac
import os
import pathlib
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


def read(folder, fernets):
    """The plaintexts by name, and the names that a previous key opened. Every
    file must be a token that opens: who has no key cannot choose a value."""
    plain, old = {}, []
    for file in sorted(pathlib.Path(folder).iterdir()):
        if not file.is_file():  # a mounted folder has ..data beside the names
            continue
        try:
            plain[file.name], previous = open_token(fernets, file.read_bytes().strip())
        except InvalidToken:
            raise SystemExit(f"{file}: no key opens it") from None
        if previous:
            old.append(file.name)
    if not plain.get("SECRET-API-TOKEN"):
        raise SystemExit(f"{folder}: no SECRET-API-TOKEN, or it is empty")
    return plain, old


def service(plain, old):
    want = b"Bearer " + plain["SECRET-API-TOKEN"]

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
    plain, old = read(os.environ.get("SECRETS_DIR", "/etc/secrets"), keys(os.environ))
    for name in old:
        print(f"{name} is still under a previous key", flush=True)
    address = os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))
    server = ThreadingHTTPServer(address, service(plain, old))
    print("listening on %s:%d" % server.server_address[:2], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
