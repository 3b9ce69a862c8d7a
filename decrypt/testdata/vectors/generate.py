# SPDX-License-Identifier: Apache-2.0
"""Writes the vectors into the folder that is its argument, byte for byte the
same each time: keys, IVs and times are fixed.

Each case says what a strict reader makes of it and what Python's cryptography
does. The latter is tried out here, for every case; a case that says the wrong
thing stops the script. What fernet-go does is tried out by a test in Go.

Uses the standard library and Debian's python3-cryptography.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TIME = 1700000000
IV = bytes(range(16))
CANARY = b"canary-7f3a0c55"
LONG = CANARY + b"-and-more"
BLOCK = 16

# What other implementations do that a strict one does not, and why it does not.
DROPS = "Python drops characters that are not base64, and fernet-go line breaks; then a token has many texts and damage goes unnoticed"
DROPS_KEY = "Python drops characters that are not base64, and fernet-go line breaks; then damage to a key goes unnoticed"
STANDARD = "Python takes + and / as well as - and _; then a token has many texts"
BEHIND = "what stands behind the padding is ignored; then a token has many texts and damage goes unnoticed"
BEHIND_KEY = "what stands behind the padding is ignored; then damage to a key goes unnoticed"
SPARE = "the bits that belong to no byte are ignored; then a token has many texts"
LINES = "line breaks are skipped; then a token has many texts"
PREFIX = "fernet-go opens what it could decode and ignores the rest; then a token has many texts"
LAX_PAD = "fernet-go takes any number as the size of the padding, and 0; then the message may be another than its maker meant"
BLOCKS = "fernet-go takes the IV and the last byte of the message without looking whether they are there"


def key(n):
    return hashlib.sha256(b"kubectl-fernet vectors, key %d" % n).digest()


def b64(raw):
    return base64.urlsafe_b64encode(raw).decode()


def mac(secret, message):
    return hmac.new(secret, message, hashlib.sha256).digest()


def key_id(raw):
    """The first 8 hex digits of an HMAC under a subkey (HKDF-SHA256)."""
    subkey = mac(mac(b"", raw), b"kubectl-fernet key id v1\x01")
    return "k" + mac(subkey, b"").hex()[:8]


def pad(message):
    n = BLOCK - len(message) % BLOCK
    return message + bytes([n]) * n


def sign(body, by=None):
    return body + mac((by or key(0))[:16], body)


def seal(message=CANARY, under=None, time=TIME, iv=IV, version=0x80, padded=None):
    """The bytes of a token. What padded has over whole blocks stays as it is."""
    under = under or key(0)
    padded = pad(message) if padded is None else padded
    whole = len(padded) // BLOCK * BLOCK
    encryptor = Cipher(algorithms.AES(under[16:]), modes.CBC(iv)).encryptor()
    body = bytes([version]) + time.to_bytes(8, "big") + iv
    body += encryptor.update(padded[:whole]) + padded[whole:]
    return sign(body, under)


def once(keys):
    """The keys without those that are there before."""
    return list(dict.fromkeys(keys))


def python(case):
    """What cryptography makes of a case: a plaintext, or a word."""
    try:
        fernets = [Fernet(k.encode()) for k in [case["primary"]] + case["previous"]]
    except ValueError:
        return "key"
    fernet = MultiFernet(fernets) if len(fernets) > 1 else fernets[0]
    token = case["token"].encode()
    try:
        if "max_age" in case:
            return fernet.decrypt_at_time(token, case["max_age"], int(case["now"]))
        return fernet.decrypt(token)
    except InvalidToken:
        return "token"
    except Exception:
        return "crash"


def verdict(case):
    """What python gives, as seen from what the case expects."""
    got = python(case)
    if "opens" in case:
        want = base64.b64decode(case["opens"]["plaintext"])
        return "agrees" if got == want else "refuses"
    if got == ("key" if case["error"].startswith("key/") else "token"):
        return "agrees"
    if isinstance(got, bytes):
        return "opens"
    return "crashes" if got == "crash" else "takes"


class Group:
    def __init__(self, name, about):
        self.name, self.about, self.cases, self.wrong = name, about, [], []

    def add(self, name, about, token, keys=None, **fields):
        """keys are bytes or, where they are wrong, texts; the first is primary."""
        raw = keys or [key(0)]
        texts = [k if isinstance(k, str) else b64(k) for k in raw]
        case = {
            "id": self.name + "-" + name,
            "about": about,
            "primary": texts[0],
            "previous": texts[1:],
            "token": token if isinstance(token, str) else b64(token),
        }
        others = {k: fields.pop(k, "agrees") for k in ("python", "fernet_go")}
        why = fields.pop("why", None)
        case.update(fields)
        if case.get("error", "").startswith("key/"):
            case.setdefault("position", 0)
        if case.get("error") == "no-key":
            case["tried"] = [key_id(k) for k in once(raw)]
        if "max_age" in case:  # its clock cannot be set
            others["fernet_go"] = None
        if "double_base64" in case:  # nobody else has it
            others = {}
        case.update({k: v for k, v in others.items() if v})
        if why:
            case["why"] = why
        if "python" in case and verdict(case) != case["python"]:
            self.wrong.append("%s: Python %s, and the case says %s" % (case["id"], verdict(case), case["python"]))
        self.cases.append(case)

    def opens(self, name, about, token, message=CANARY, keys=None, by=0, time=TIME, **fields):
        opened = {
            "plaintext": base64.b64encode(message).decode(),
            "key": once(keys or [key(0)]).index((keys or [key(0)])[by]),
            "key_id": key_id((keys or [key(0)])[by]),
            "time": str(time),
        }
        self.add(name, about, token, keys, opens=opened, **fields)

    def refuses(self, name, about, error, token, keys=None, **fields):
        self.add(name, about, token, keys, error=error, **fields)

    def place(self, case, about, **fields):
        """A case of where tokens and keys stand, which nobody else has."""
        self.cases.append({"id": self.name + "-" + case, "about": about, **fields})

    def write(self, folder):
        content = {"group": self.name, "about": self.about, "cases": self.cases}
        with open(folder / (self.name + ".json"), "w", encoding="ascii", newline="\n") as file:
            json.dump(content, file, indent=2)
            file.write("\n")


def keys():
    g = Group("key", "one text in the place of the primary key; the token is valid under the key that a lax reader sees")
    good = b64(key(0))

    def odd(name, about, raw):
        g.opens(name, about, seal(under=raw), keys=[raw])

    odd("usual", "32 bytes from a generator", key(0))
    odd("punctuation", "a text of - and _ alone, but for its end", base64.urlsafe_b64decode("-_" * 21 + "8="))
    odd("ones", "all bits are set", b"\xff" * 32)
    odd("one-bit", "all bits but the last are clear", bytes(31) + b"\x01")
    odd("zero-signing-half", "the half that signs is zero, the other is not", bytes(16) + key(0)[16:])
    odd("zero-encrypting-half", "the half that encrypts is zero, the other is not", key(0)[:16] + bytes(16))
    odd("like-a-token", "begins with gAAAA, as tokens do", base64.urlsafe_b64decode("gAAAAABl" + good[8:]))
    odd("like-a-jwt", "begins with eyJ, as JWTs do", base64.urlsafe_b64decode("eyJhbGci" + good[8:]))
    odd("like-hex", "is of hexadecimal digits but for its end", base64.urlsafe_b64decode("deadbeef" * 5 + "beY="))

    def bad(name, about, error, text, under=None, python="agrees", fernet_go="agrees", why=None):
        token = seal(under=under or key(0))
        g.refuses(name, about, "key/" + error, token, keys=[text], python=python, fernet_go=fernet_go, why=why)

    def lax(name, about, error, text, fernet_go="agrees"):
        bad(name, about, error, text, python="opens", fernet_go=fernet_go, why=DROPS_KEY)

    bad("empty", "the empty text", "empty", "")
    for size in (16, 24, 31):
        bad("%d-bytes" % size, "base64 of %d bytes" % size, "short", b64(key(0)[:size]))
    for size in (33, 48, 64):
        bad("%d-bytes" % size, "base64 of %d bytes" % size, "long", b64((key(0) + key(1))[:size]))
    bad("75-bytes", "base64 of 75 bytes, as long as the smallest token", "long", b64((key(0) + key(1) + key(2))[:75]))
    bad("word", "a word that a person would choose", "short", "canarytree")
    hexed = "the same 32 bytes must have one text, and a text of 64 hexadecimal digits is base64 of 48 bytes, too"
    bad("hex", "32 bytes in hexadecimal digits", "hex", key(0).hex(), fernet_go="opens", why=hexed)
    bad("hex-upper", "32 bytes in hexadecimal digits, upper case", "hex", key(0).hex().upper(), fernet_go="opens", why=hexed)
    bad("hex-16", "16 bytes in hexadecimal digits", "hex", key(0).hex()[:32])
    bad("hex-31-digits", "31 hexadecimal digits, which may be a word", "short", key(0).hex()[:31])
    standard = b"\xfb\xef\xbe" * 10 + b"\xff\xff"
    other = "a key has one text, that of the URL-safe alphabet"
    bad("standard-alphabet", "has + for - and / for _", "standard-alphabet", base64.b64encode(standard).decode(),
        under=standard, python="opens", fernet_go="opens", why=other)
    one = "-" + good[1:].replace("_", "A").replace("-", "A")
    bad("one-plus", "has + for its only -", "standard-alphabet", "+" + one[1:],
        under=base64.urlsafe_b64decode(one), python="opens", fernet_go="opens", why=other)
    two = "-_" + good[2:]
    bad("mixed-alphabets", "has a _ and, for -, a +", "standard-alphabet", "+" + two[1:],
        under=base64.urlsafe_b64decode(two), python="opens", why=other)
    bad("unpadded", "the = behind it is missing", "padding", good[:-1])
    bad("padded-twice", "there are two = behind it", "padding", good + "=", python="opens", why=BEHIND_KEY)
    spare = good[:-2] + chr(ord(good[-2]) + 1) + "="
    assert base64.urlsafe_b64decode(spare) == key(0)
    bad("spare-bits", "the last character has a bit that belongs to no byte", "tail", spare,
        python="opens", fernet_go="opens", why="the bits that belong to no byte are ignored; then a mistyped key is taken")
    lax("line-break", "a line break behind it", "blank", good + "\n", fernet_go="opens")
    lax("crlf", "a carriage return and a line break behind it", "blank", good + "\r\n", fernet_go="opens")
    lax("line-break-inside", "a line break inside", "blank", good[:20] + "\n" + good[20:], fernet_go="opens")
    bad("line-break-for-character", "a line break in the place of a character", "blank", good[:20] + "\n" + good[21:])
    lax("blank-before", "a blank before it", "blank", " " + good)
    lax("blank-behind", "a blank behind it", "blank", good + " ")
    lax("blank-inside", "a blank inside", "blank", good[:20] + " " + good[20:])
    lax("tab", "a tab behind it", "blank", good + "\t")
    lax("nul", "a zero byte behind it", "blank", good + "\0")
    lax("no-break-space", "a no-break space behind it", "blank", good + "\u00a0")
    lax("zero-width-space", "a zero-width space behind it", "blank", good + "\u200b")
    lax("byte-order-mark", "a byte order mark before it", "blank", "\ufeff" + good)
    lax("double-quotes", "double quotes around it", "blank", '"' + good + '"')
    lax("single-quotes", "single quotes around it", "blank", "'" + good + "'")
    lax("curly-quotes", "typographic quotes around it", "blank", "\u201c" + good + "\u201d")
    lax("two-keys", "another key behind it and a comma", "list", good + "," + b64(key(1)))
    lax("two-keys-and-blank", "another key behind it, a comma and a blank", "list", good + ", " + b64(key(1)))
    bad("pem", "a PEM block", "pem", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n")
    bad("age", "a secret key of age", "age", "AGE-SECRET-KEY-1QQPQYSVQGUR9J5TV8S6W0E7QF3X2L4M")
    bad("age-lower", "a secret key of age in lower case", "age", "age-secret-key-1qqpqysvqgur9j5tv8s6w0e7qf3x2l4m")
    bad("age-recipient", "a recipient of age", "age", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
    bad("jwt", "a JWT", "jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl")
    bad("eyj-without-dots", "begins with eyJ and is no JWT", "padding", "eyJhbGci" + good[8:-1])
    bad("dots", "has the dots of a JWT, not its beginning", "alphabet", "canary.7f3a.0c55")
    bad("aws-id", "an access key id of AWS", "aws", "AKIA7F3A0C55CANARY00")
    bad("aws-temporary-id", "a temporary access key id of AWS", "aws", "ASIA7F3A0C55CANARY00")
    bad("aws-secret", "a secret access key of AWS", "aws", "canary7f3a0c55/CANARY+7f3a0c55canary7f3a")
    bad("20-characters", "20 characters that are no access key id", "short", "CANARY7F3A0C55CANARY")
    bad("akia-lower", "20 characters that begin with AKIA, one in lower case", "short", "AKIA7F3A0C55CANARy00")
    bad("40-characters", "40 characters that are no secret access key", "short", "canary7f3a0c55-CANARY_7f3a0c55canary7f3a")
    bad("token", "a token", "token", b64(seal()))
    bad("short-like-a-token", "begins as a token and is too short for one", "padding", "gAAAAABl" + good[8:-1])
    bad("name-before", "KEY= before it", "alphabet", "KEY=" + good)
    lax("dot-behind", "a full stop behind it", "alphabet", good + ".")
    lax("not-ascii", "a letter that is not ASCII behind it", "alphabet", good + "\u00e9")
    bad("equals-inside", "an = in the place of a character", "alphabet", good[:20] + "=" + good[21:])
    bad("letters-behind", "four letters behind its padding", "alphabet", good + "AAAA", python="opens", why=BEHIND_KEY)
    bad("zero", "32 zero bytes", "zero", b64(bytes(32)), under=bytes(32), python="opens", fernet_go="opens",
        why="it is what an uninitialised buffer holds, and no secret")
    published = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
    token = seal(b"hello", base64.urlsafe_b64decode(published), 499162800)
    assert b64(token).startswith("gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPg")
    g.refuses("published", "the key and the token of the Fernet specification", "key/published", token, keys=[published],
              python="opens", fernet_go="opens", why="everybody has it")
    return g


def base64_texts():
    g = Group("base64", "one defect in the text of a valid token, within it or before it")
    raw = seal(LONG)
    good = b64(raw)
    assert good.count("-") and good.count("_") and good[-1] == "=" and good[-2] != "="
    g.opens("two-equals", "a text that ends in ==", seal(CANARY))
    g.opens("one-equals", "a text that ends in =, with - and _ in it", raw, LONG)
    g.opens("no-equals", "a text that needs no =", seal(LONG + LONG[:16]), LONG + LONG[:16])

    def bad(name, about, text, error="alphabet", **fields):
        g.refuses(name, about, "malformed/" + error, text, **fields)

    def lax(name, about, text, error="alphabet", **fields):
        bad(name, about, text, error, python="opens", why=DROPS, **fields)

    bad("standard-alphabet", "has + for - and / for _", base64.b64encode(raw).decode(), python="opens", why=STANDARD)
    bad("one-plus", "has + for one -", good.replace("-", "+", 1), python="opens", why=STANDARD)
    bad("one-slash", "has / for one _", good.replace("_", "/", 1), python="opens", why=STANDARD)
    lax("blank-before", "a blank before it", " " + good)
    lax("blank-inside", "a blank inside", good[:40] + " " + good[40:])
    lax("four-blanks-inside", "as many blanks inside as a group has characters", good[:40] + "    " + good[40:])
    lax("tab-inside", "a tab inside", good[:40] + "\t" + good[40:])
    lax("line-break-before", "a line break before it", "\n" + good, fernet_go="opens")
    lax("line-break-inside", "a line break inside", good[:64] + "\n" + good[64:], fernet_go="opens")
    lax("crlf-inside", "a carriage return and a line break inside", good[:76] + "\r\n" + good[76:], fernet_go="opens")
    lax("wrapped", "line breaks so that no line has over 40 characters",
        "\n".join(good[i:i + 40] for i in range(0, len(good), 40)), fernet_go="opens")
    lax("four-line-breaks", "as many line breaks inside as a group has characters", good[:40] + "\n\n\n\n" + good[40:], fernet_go="opens")
    lax("line-break-in-padding", "a line break before the =", good[:-1] + "\n=", fernet_go="opens")
    lax("nul-inside", "a zero byte inside", good[:40] + "\0" + good[40:])
    lax("quoted", "double quotes around it", '"' + good + '"')
    lax("single-quoted", "single quotes around it", "'" + good + "'")
    bad("bytes-literal", "b'...' around it, as Python prints bytes", "b'" + good + "'")
    lax("byte-order-mark", "a byte order mark before it", "\ufeff" + good)
    lax("no-break-space", "a no-break space inside", good[:40] + "\u00a0" + good[40:])
    lax("full-stop-inside", "a full stop inside", good[:40] + "." + good[40:])
    bad("full-stop-for-character", "a full stop in the place of a character", good[:40] + "." + good[41:])
    bad("full-width", "the first letter in its full-width form", "\uff47" + good[1:])
    bad("percent-signs", "percent signs in the place of its first 13 characters", "%" * 13 + good[13:])
    bad("percent-encoded", "%3D for the =", good[:-1] + "%3D")
    bad("hex", "its bytes in hexadecimal digits", raw.hex(), "length")
    bad("base64-of-base64", "its text in base64 once more", b64(good.encode()), "version")
    bad("equals-inside", "an = in the place of a character", good[:40] + "=" + good[41:], "tail")
    bad("equals-before", "four = before it", "====" + good, "tail", python="opens",
        why="Python skips an = that pads nothing; then a token has many texts")
    bad("empty", "the empty text", "", "short")
    bad("equals-only", "four = and nothing else", "====", "tail")
    return g


def truncations():
    g = Group("truncation", "a valid token with a piece missing, without a new signature or, where it says so, with one")
    raw, long = seal(), seal(LONG)
    good = b64(raw)
    g.opens("none", "the 73 bytes of the smallest token", raw)

    def bad(name, about, error, token, **fields):
        g.refuses(name, about, "malformed/" + error, token, **fields)

    bad("1-character", "the last character is missing", "length", good[:-1])
    bad("3-characters", "the last three characters are missing", "length", good[:-3])
    bad("4-characters", "the last four characters are missing", "short", good[:-4])
    bad("half", "the second half of the text is missing", "length", good[:50])
    bad("to-4-characters", "only the first four characters are left", "short", good[:4])
    bad("to-1-character", "only the first character is left", "length", good[:1])
    bad("first-character", "the first character is missing", "length", good[1:])
    bad("first-4-characters", "the first four characters are missing", "version", good[4:])
    bad("first-byte", "the first byte is missing", "version", raw[1:])
    bad("last-byte", "the last byte is missing", "short", raw[:-1])
    bad("signature", "the signature is missing", "short", raw[:-32])
    bad("last-byte-long", "the last byte of a token of two blocks is missing", "blocks", long[:-1])
    bad("block-without-bytes", "of a token of two blocks, all but the first 80 bytes are missing", "blocks", long[:80])
    g.refuses("last-block-size", "of a token of two blocks, the last 16 bytes are missing, so the sizes fit again", "no-key", long[:-16])
    g.refuses("first-block", "of a token of two blocks, the first is missing", "no-key", long[:25] + long[41:])

    def signed(name, about, error, body, **fields):
        bad("signed-" + name, about + ", and a signature over the rest", error, sign(body), **fields)

    crash = dict(fernet_go="crashes", why=BLOCKS)
    signed("to-1-byte", "only the version is left", "short", raw[:1], **crash)
    signed("to-8-bytes", "one byte of the time is missing behind the version", "short", raw[:8], **crash)
    signed("to-9-bytes", "the IV is missing, and the blocks", "short", raw[:9], **crash)
    signed("to-24-bytes", "a byte of the IV is missing, and the blocks", "short", raw[:24], **crash)
    signed("to-25-bytes", "the blocks are missing", "short", raw[:25], **crash)
    signed("to-26-bytes", "all but a byte of the block is missing", "short", raw[:26])
    signed("to-40-bytes", "a byte of the only block is missing", "short", raw[:40])
    signed("to-42-bytes", "all but a byte of the second block is missing", "blocks", long[:42])
    signed("to-56-bytes", "a byte of the second block is missing", "blocks", long[:56])
    signed("and-a-byte", "nothing is missing but a byte is there behind the block", "blocks", raw[:41] + b"\0")
    signed("block-of-two", "the second block is missing", "padding", seal(b"c" * 16 + b"more")[:41])
    return g


def padding():
    g = Group("padding", "signed tokens with one ending each, as a maker that has the key can write them")

    def good(name, about, padded, message):
        assert pad(message) == padded
        g.opens(name, about, seal(padded=padded), message)

    good("1", "one byte of 1", b"c" * 15 + b"\1", b"c" * 15)
    good("2", "two bytes of 2", b"c" * 14 + b"\2" * 2, b"c" * 14)
    good("15", "fifteen bytes of 15", b"c" + b"\x0f" * 15, b"c")
    good("16", "a block of 16, behind one of the message", b"c" * 16 + b"\x10" * 16, b"c" * 16)
    good("16-alone", "a block of 16, and an empty message", b"\x10" * 16, b"")
    good("message-ends-in-1", "one byte of 1, and a message that ends in 1", b"c" * 12 + b"\1" * 4, b"c" * 12 + b"\1" * 3)
    good("message-is-padding", "a message that is a block of 16, and its padding", b"\x10" * 32, b"\x10" * 16)

    def bad(name, about, padded, **fields):
        g.refuses(name, about, "malformed/padding", seal(padded=padded), **fields)

    def lax(name, about, padded):
        bad(name, about, padded, fernet_go="opens", why=LAX_PAD)

    lax("0", "one byte of 0", b"c" * 15 + b"\0")
    lax("zeros", "a block of zero bytes", bytes(16))
    lax("17", "17 bytes of 17", b"c" * 15 + b"\x11" * 17)
    lax("32", "32 bytes of 32", b"\x20" * 32)
    lax("255", "255 bytes of 255, and one of the message", b"c" + b"\xff" * 255)
    bad("17-in-one-block", "17 in one block", b"c" * 15 + b"\x11")
    bad("128", "one byte of 128", b"c" * 15 + b"\x80")
    bad("none", "no padding: the last byte is a letter", b"c" * 16)
    bad("2-once", "2, and no second one", b"c" * 15 + b"\2")
    bad("3-twice", "3, and no third one", b"c" * 14 + b"\3" * 2)
    bad("3-wrong-middle", "three bytes, the middle one is 2", b"c" * 13 + b"\3\2\3")
    bad("3-wrong-first", "three bytes, the first one is 1", b"c" * 13 + b"\1\3\3")
    bad("3-wrong-first-bit", "three bytes, the first one has another high bit", b"c" * 13 + b"\x83\3\3")
    bad("15-wrong-first", "fifteen bytes, the first one is 14", b"c" + b"\x0e" + b"\x0f" * 14)
    bad("16-wrong-first", "sixteen bytes, the first one is 15", b"\x0f" + b"\x10" * 15)
    bad("16-wrong-first-of-second-block", "sixteen bytes in the second block, the first one is 0", b"c" * 16 + b"\0" + b"\x10" * 15)
    bad("counting-up", "the numbers from 1 to 8, as IPsec pads", b"c" * 8 + bytes(range(1, 9)))
    lax("iso-7816", "0x80 and zero bytes, as ISO 7816 pads", b"c" * 13 + b"\x80\0\0")
    bad("x9-23", "zero bytes and their number, as ANSI X9.23 pads", b"c" * 12 + b"\0\0\0\4")
    bad("iso-10126", "any bytes and their number, as ISO 10126 pads", b"c" * 12 + b"\x5a\xc3\x17\4")
    bad("blanks", "blanks", b"c" * 12 + b"    ")
    bad("specification", "the specification's case of a padding error, under this key", b"\x10" * 15 + b"\x0f")
    return g


def versions_and_times():
    g = Group("version-time", "the first nine bytes; where a case has max_age, the token's age counts, and not otherwise")
    for version in (0x00, 0x01, 0x40, 0x7f, 0x81, 0x90, 0xff):
        g.refuses("version-%02x" % version, "version 0x%02x, signed" % version, "malformed/version", seal(version=version))
    raw = seal()
    g.refuses("version-unsigned", "version 0x81, not signed anew", "malformed/version", b"\x81" + raw[1:])
    g.refuses("version-one-byte", "nothing but a byte that is no version", "malformed/version", b"\0")

    def timed(name, about, time, **fields):
        g.opens("time-" + name, about, seal(time=time), time=time, **fields)

    timed("0", "made at the start of 1970", 0)
    timed("1", "made one second later", 1)
    timed("specification", "the time of the specification's vectors", 499162800)
    timed("31-bits", "the last second of signed 32 bits", 2**31 - 1)
    timed("32-bits", "the first second beyond unsigned 32 bits", 2**32)
    timed("milliseconds", "in milliseconds: beyond the year 50000", TIME * 1000)
    timed("little-endian", "in the wrong byte order", int.from_bytes(TIME.to_bytes(8, "little"), "big"))
    timed("63-bits", "the last second of signed 64 bits", 2**63 - 1)
    timed("64-bits", "the first second beyond signed 64 bits", 2**63)
    timed("ones", "all bits are set", 2**64 - 1)

    def aged(name, about, time, now, age, error=None, **fields):
        token = seal(time=time)
        if error:
            g.refuses("age-" + name, about, "age/" + error, token, max_age=age, now=str(now), **fields)
        else:
            g.opens("age-" + name, about, token, time=time, max_age=age, now=str(now), **fields)

    aged("young", "made a second ago, may be 60", TIME, TIME + 1, 60)
    aged("just", "made 60 seconds ago, may be 60", TIME, TIME + 60, 60)
    aged("old", "made 61 seconds ago, may be 60", TIME, TIME + 61, 60, "too-old")
    aged("0", "made now, may be 0", TIME, TIME, 0)
    aged("0-old", "made a second ago, may be 0", TIME, TIME + 1, 0, "too-old")
    aged("year", "made a year ago, may be 90 days", TIME, TIME + 365 * 86400, 90 * 86400, "too-old")
    aged("skew", "made 60 seconds from now: clocks differ", TIME + 60, TIME, 60)
    aged("future", "made 61 seconds from now", TIME + 61, TIME, 60, "future")
    aged("future-years", "made 30 years from now", TIME + 30 * 365 * 86400, TIME, 60, "future")
    aged("64-bits", "made beyond signed 64 bits", 2**63, TIME, 60, "future")
    aged("ones", "the time has all bits set", 2**64 - 1, TIME, 60, "future")
    aged("1970", "made at the start of 1970, may be 60", 0, TIME, 60, "too-old")
    other = seal(under=key(1), time=TIME)
    g.refuses("age-old-no-key", "too old, and under another key: that is said first", "no-key", other, max_age=60, now=str(TIME + 61))
    return g


def tails():
    g = Group("tail", "one defect at the end of the text of a valid token, or behind it")
    two, one, none = b64(seal()), b64(seal(LONG)), b64(seal(LONG + LONG[:16]))
    assert two.endswith("==") and one[-2] != "=" and one[-1] == "=" and none[-1] != "="

    def bad(name, about, text, error, **fields):
        g.refuses(name, about, "malformed/" + error, text, **fields)

    def behind(name, about, extra, **fields):
        bad(name, about + " behind it", two + extra, "alphabet", python="opens", why=BEHIND, **fields)

    behind("line-break", "a line break", "\n", fernet_go="opens")
    behind("two-line-breaks", "two line breaks", "\n\n", fernet_go="opens")
    behind("four-line-breaks", "four line breaks, as many as a group has characters,", "\n" * 4, fernet_go="opens")
    behind("crlf", "a carriage return and a line break", "\r\n", fernet_go="opens")
    behind("blank", "a blank", " ", fernet_go="opens")
    behind("tab", "a tab", "\t", fernet_go="opens")
    behind("nul", "a zero byte", "\0", fernet_go="opens")
    behind("comment", "a blank and a comment", " # canary", fernet_go="opens")
    behind("comma", "a comma", ",", fernet_go="opens")
    behind("line-break-and-token", "a line break and the same token once more", "\n" + two, fernet_go="opens")
    bad("unpadded-line-break", "a line break behind a text that needs no =", none + "\n", "alphabet",
        python="opens", fernet_go="opens", why=LINES)
    bad("one-letter", "a letter behind it", two + "A", "length", python="opens", fernet_go="opens", why=BEHIND)
    bad("four-letters", "four letters behind it", two + "AAAA", "tail", python="opens", fernet_go="opens", why=BEHIND)
    bad("token", "the same token once more", two + two, "tail", python="opens", fernet_go="opens", why=BEHIND)
    bad("unpadded-letter", "a letter behind a text that needs no =", none + "A", "length", fernet_go="opens", why=PREFIX)
    bad("unpadded-group", "four letters behind a text that needs no =", none + "AAAA", "blocks")
    bad("both-equals-missing", "both = are missing", two[:-2], "length")
    bad("one-equals-missing", "one of two = is missing", two[:-1], "length")
    bad("equals-missing", "the only = is missing", one[:-1], "length")
    bad("third-equals", "a third = behind it", two + "=", "length", python="opens", fernet_go="opens", why=BEHIND)
    bad("second-equals", "a second = behind a text that needs one", one + "=", "length", python="opens", fernet_go="opens", why=BEHIND)
    bad("unpadded-equals", "an = behind a text that needs none", none + "=", "length", python="opens", fernet_go="opens",
        why="an = that pads nothing is skipped; then a token has many texts")
    bad("four-equals", "four = more", two + "====", "tail", python="opens", fernet_go="opens", why=BEHIND)
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for text, pads, all_bits in ((two, 2, (1, 2, 4, 8, 15)), (one, 1, (1, 2, 3))):
        at = len(text) - pads - 1
        value = digits.index(text[at])
        assert value & all_bits[-1] == 0
        for bits in all_bits:
            spoilt = text[:at] + digits[value | bits] + text[at + 1:]
            bad("spare-bits-%d-of-%d" % (bits, all_bits[-1]),
                "the bits before %s that belong to no byte are %d, not 0" % ("=" * pads, bits),
                spoilt, "tail", python="opens", fernet_go="opens", why=SPARE)
    return g


def multi_key():
    g = Group("multi-key", "which of several keys opens a token, and what is said if none does")
    k0, k1, k2, k3 = key(0), key(1), key(2), key(3)
    twin = k0[:16] + k1[16:]  # signs as key 0 does, encrypts as key 1 does

    def good(name, about, keys, by, under):
        return g.opens(name, about, seal(under=under), keys=keys, by=by)

    good("primary", "the primary key, of two", [k0, k1], 0, k0)
    good("previous", "the only previous key", [k1, k0], 1, k0)
    good("second-previous", "the second of two previous keys", [k1, k2, k0], 2, k0)
    good("first-previous", "the first of two previous keys", [k1, k0, k2], 1, k0)
    good("tenth", "the last of ten keys", [key(n) for n in range(9, -1, -1)], 9, k0)

    destroys = "fernet-go decrypts in place, so after a key that signs alike the token is lost to the keys behind it"
    g.opens("same-signing-half", "a key with the same signing half stands before the right one", seal(), keys=[twin, k0], by=1,
            fernet_go="refuses", why=destroys)
    good("same-signing-half-behind", "a key with the same signing half stands behind the right one", [k0, twin], 0, k0)
    g.opens("same-signing-half-far", "a key with the same signing half and one of its own stand before the right one", seal(),
            keys=[twin, k2, k0], by=2, fernet_go="refuses", why=destroys)
    good("same-encrypting-half", "a key with the same encrypting half stands before the right one", [k1[:16] + k0[16:], k0], 1, k0)

    def no_key(name, about, keys, token=None):
        g.refuses(name, about, "no-key", token or seal(), keys=keys)

    no_key("none-of-1", "another key alone", [k1])
    no_key("none-of-3", "three other keys", [k1, k2, k3])
    no_key("halves-swapped", "the halves of the key are swapped", [k0[16:] + k0[:16]])
    no_key("reversed", "the bytes of the key are reversed", [k0[::-1]])
    no_key("one-bit", "the first bit of the key is flipped", [bytes([k0[0] ^ 0x80]) + k0[1:]])
    no_key("encrypting-half-alone", "another signing half, the right encrypting half", [k1[:16] + k0[16:]])
    no_key("signed-by-nobody", "the signature is made of 32 zero bytes", [k0, k1], seal()[:-32] + bytes(32))
    hashed = seal()[:-32]
    no_key("hash-for-signature", "a SHA-256 without any key in the place of the signature", [k0], hashed + hashlib.sha256(hashed).digest())
    no_key("whole-key-signs", "the signature is under all 32 bytes of the key", [k0], hashed + mac(k0, hashed))
    no_key("other-half-signs", "the signature is under the half that encrypts", [k0], hashed + mac(k0[16:], hashed))

    def mispadded(name, about, keys):
        g.refuses(name, about, "malformed/padding", seal(), keys=keys)

    mispadded("signing-half-alone", "the right signing half, another encrypting half", [twin])
    mispadded("signing-half-then-other", "the right signing half with another encrypting half, then another key", [twin, k2])
    mispadded("other-then-signing-half", "another key, then the right signing half with another encrypting half", [k2, twin])

    def bad(name, about, error, keys, position, **fields):
        g.refuses(name, about, "key/" + error, seal(), keys=keys, position=position, **fields)

    good("primary-again", "the primary key is also a previous one", [k0, k1, k0], 0, k0)
    good("previous-again", "a previous key is there twice", [k0, k1, k1], 1, k1)
    good("behind-previous-again", "a previous key behind another that is there twice", [k0, k1, k1, k2], 3, k2)
    no_key("again", "a key that is there twice is tried once", [k1, k2, k1])
    bad("bad-behind-again", "a previous key is too short, behind the primary key once more", "short", [k0, k0, b64(k1[:16])], 2)
    bad("bad-previous", "the first previous key is too short", "short", [k0, b64(k1[:16]), k2], 1)
    bad("empty-previous", "the second previous key is empty", "empty", [k0, k1, ""], 2)
    bad("bad-primary", "the primary key is too short, and a previous one would open the token", "short", [b64(k1[:16]), k0], 0)
    bad("zero-previous", "the previous key is zero", "zero", [k0, bytes(32)], 1, python="opens", fernet_go="opens",
        why="it is what an uninitialised buffer holds, and no secret")
    bad("list-as-previous", "two previous keys in one text", "list", [k0, b64(k1) + "," + b64(k2)], 1, python="opens", why=DROPS_KEY)
    return g


def signatures():
    g = Group("signature", "a valid token with one part altered and not signed anew: no reader can tell it from one under another key")
    raw = seal(LONG)

    def flipped(name, about, at, bit=1):
        g.refuses(name, about, "no-key", raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1:])

    flipped("time-first-bit", "the first bit of the time", 1, 0x80)
    flipped("time-last-bit", "the last bit of the time", 8)
    flipped("iv-first-bit", "the first bit of the IV", 9, 0x80)
    flipped("iv-last-bit", "the last bit of the IV", 24)
    flipped("first-block", "the first bit of the first block", 25, 0x80)
    flipped("last-block", "the last bit of the last block", len(raw) - 33)
    flipped("first-bit", "the first bit of the signature", len(raw) - 32, 0x80)
    flipped("last-bit", "the last bit of the signature", len(raw) - 1)
    g.refuses("last-half", "the second half of the signature is zero", "no-key", raw[:-16] + bytes(16))
    g.refuses("of-another", "the signature of another token", "no-key", raw[:-32] + seal()[-32:])
    g.refuses("block-added", "the last block is there twice", "no-key", raw[:-32] + raw[-48:-32] + raw[-32:])
    g.refuses("blocks-swapped", "the two blocks are swapped", "no-key", raw[:25] + raw[41:57] + raw[25:41] + raw[57:])
    return g


def messages():
    g = Group("message", "valid tokens of one message each")

    def length(n):
        message = (CANARY * (n // len(CANARY) + 1))[:n]
        g.opens("%d-bytes" % n, "%d bytes" % n, seal(message), message)

    for n in (0, 1, 2, 3, 7, 8, 14, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 255, 256, 257, 1023, 1024, 4095, 4096):
        length(n)

    def of(name, about, message, **fields):
        g.opens(name, about, seal(message, **fields), message)

    of("uuid", "a UUID", b"9e68b558-9f6a-4f06-8233-f0af0a1e5b42")
    of("nul", "a zero byte", b"\0")
    of("zeros", "a block of zero bytes", bytes(16))
    of("all-bytes", "each byte once", bytes(range(256)))
    of("ones", "bytes of 255, which are not UTF-8", b"\xff" * 20)
    of("utf-8", "letters that are not ASCII", "\u00fcml\u00e4ut \u043a\u043b\u044e\u0447 \u79d8\u5bc6".encode())
    of("emoji", "a character of four bytes", "\U0001f511".encode())
    of("byte-order-mark", "a byte order mark before the text", b"\xef\xbb\xbf" + CANARY)
    of("line-break", "a line break at the end, which stays", CANARY + b"\n")
    of("crlf", "two lines, each with a carriage return", b"canary\r\n7f3a\r\n")
    of("blanks", "blanks on both sides, which stay", b"  " + CANARY + b"  ")
    of("quotes", "quotes around it, which stay", b'"' + CANARY + b'"')
    of("equals", "an = at the end", CANARY + b"=")
    of("shell", "what a shell would expand", b"$HOME `id` $(id) \\ ${X:-y} !!")
    of("json", "a JSON object", b'{"user": "canary", "password": "7f3a\\u0000"}')
    of("pem", "the lines of a PEM block", b"-----BEGIN CANARY-----\nfz8A\n-----END CANARY-----\n")
    of("url", "a URL with a password", b"postgres://canary:7f3a%40@db:5432/x?sslmode=require")
    of("token", "another token: it is opened once", b64(seal()).encode())
    of("iv-zero", "an IV of zero bytes", CANARY, iv=bytes(16))
    of("iv-ones", "an IV with all bits set", CANARY, iv=b"\xff" * 16)
    return g


def double_base64():
    g = Group("double-base64", "tokens that somebody base64-encoded once more, and a reader that was told to expect it")
    raw = seal()
    text = b64(raw)

    def outer(inner):
        return base64.b64encode(inner if isinstance(inner, bytes) else inner.encode()).decode()

    def good(name, about, token):
        g.opens(name, about, token, double_base64=True)

    def bad(name, about, error, token, keys=None):
        g.refuses(name, about, error, token, keys=keys, double_base64=True)

    twice = outer(text)
    good("once", "a token as it should be", text)
    good("twice", "a token in a second layer of base64", twice)
    good("newline-inside", "a line break behind the token, within the second layer", outer(text + "\n"))
    good("crlf-inside", "a carriage return and a line break behind the token, within the second layer", outer(text + "\r\n"))
    good("newline-outside", "a line break behind the second layer", twice + "\n")
    good("wrapped", "the second layer in lines of 76 characters", twice[:76] + "\n" + twice[76:] + "\n")
    bad("two-newlines-inside", "two line breaks behind the token, within the second layer", "malformed/version", outer(text + "\n\n"))
    bad("thrice", "a token in three layers of base64", "malformed/version", outer(outer(text)))
    bad("blank-outside", "a blank behind the second layer", "malformed/alphabet", twice + " ")
    bad("newline-alone", "a line break behind a token that is in no second layer", "malformed/alphabet", text + "\n")
    spare = outer(text + "\n")
    assert spare.endswith("=") and not spare.endswith("==") and spare[-2] in "AEIMQUYcgkosw048"
    bad("spare-bits-outside", "a bit of the second layer that belongs to no byte is set", "malformed/tail", spare[:-2] + chr(ord(spare[-2]) + 1) + "=")
    bad("unpadded-outside", "the = of the second layer is missing", "malformed/length", spare[:-1])
    at = len(text) - 3
    bad("spare-bits-inside", "a bit of the token's text that belongs to no byte is set", "malformed/version",
        outer(text[:at] + chr(ord(text[at]) + 1) + "=="))
    bad("standard-alphabet-inside", "the token's text has + for - and / for _", "malformed/version",
        outer(base64.b64encode(seal(LONG))))
    bad("short-inside", "a token that was cut, in a second layer", "malformed/version", outer(text[:96]))
    bad("version-inside", "a token of version 0x81, in a second layer", "malformed/version", outer(b64(seal(version=0x81))))
    bad("raw-inside", "the bytes of a token, in one layer of the standard alphabet", "malformed/alphabet", outer(seal(iv=b"\xff" * 16)))
    bad("blocks-inside", "a token with a byte over whole blocks, in a second layer", "malformed/blocks", outer(b64(sign(raw[:41] + b"\0"))))
    bad("padding-inside", "a token that is padded wrongly, in a second layer", "malformed/padding", outer(b64(seal(padded=bytes(16)))))
    bad("no-key-inside", "a token under another key, in a second layer", "no-key", twice, keys=[key(1)])
    bad("text-inside", "a text that is no token, in base64", "malformed/version", outer("canary-7f3a0c55"))
    return g


def environment(entries):
    """(name, value) or (name, value, plaintext) each; a name alone has no =."""
    return [e if isinstance(e, str) else e[0] + "=" + e[1] for e in entries]


def environments():
    g = Group("environ", "an environment that also has the keys, perhaps a folder, and which tokens are opened")
    raw = seal()
    token, old, other = b64(raw), b64(seal(under=key(1))), b64(seal(under=key(2)))
    even = b64(seal(LONG + LONG[:16]))  # needs no padding
    plain = CANARY.decode()
    keys = [("FERNET_KEY", b64(key(0))), ("FERNET_KEY_PREVIOUS", b64(key(1)))]

    def choose(fields):
        if "files" in fields:
            fields["files"] = encoded(fields["files"])
        return fields

    def good(case, about, *entries, previous=(), added=(), **fields):
        entries = keys + list(entries)
        opened = {}
        for e in entries + list(added):
            if len(e) == 3 and not isinstance(e, str):
                opened.setdefault(e[0], base64.b64encode(e[2].encode()).decode())
        after = [e if isinstance(e, str) else (e[0], e[-1]) for e in entries + list(added)]
        g.place(case, about, environ=environment(entries), **choose(fields),
                opens={"environ": environment(after), "opened": opened, "previous": list(previous)})

    def stays(case, about, value, variable="SECRET_A", **fields):
        good(case, about, (variable, value), **fields)

    good("one", "one token", ("SECRET_A", token, plain))
    good("two", "two tokens, and a variable between them", ("SECRET_A", token, plain), ("PATH", "/bin"), ("SECRET_B", b64(seal(LONG)), LONG.decode()))
    good("previous", "a token under the previous key", ("SECRET_A", token, plain), ("SECRET_B", old, plain), previous=["SECRET_B"])
    good("previous-two", "two tokens under the previous key, in the order of their names", ("SECRET_B", old, plain), ("SECRET_A", old, plain),
         previous=["SECRET_A", "SECRET_B"])
    good("empty-message", "a token of the empty message", ("SECRET_A", b64(seal(b"")), ""))
    good("equals-in-message", "a message with = in it", ("SECRET_A", b64(seal(b"a=b=c")), "a=b=c"))
    good("line-break-in-message", "a message that ends in a line break, which stays", ("SECRET_A", b64(seal(b"canary\n")), "canary\n"))
    good("token-in-message", "a token in a token is opened once", ("SECRET_A", b64(seal(token.encode())), token))
    good("line-break", "a line break behind the token is no part of it", ("SECRET_A", token + "\n", plain))
    good("crlf", "a carriage return and a line break behind the token are no part of it", ("SECRET_A", token + "\r\n", plain))
    good("twice", "a variable that is there twice: both are opened, the first counts", ("SECRET_A", token, plain),
         ("SECRET_A", b64(seal(LONG, under=key(1))), LONG.decode()))
    good("nothing", "no variable but the keys")
    good("no-equals", "a name without =", "SECRET_A")
    for case, name in (("odd-name", "SECRET-A.B"), ("other-name", "DATABASE_URL"), ("lower-case", "db_password"), ("slash", "SECRET/A"), ("no-name", ""),
                       ("key-name", "KEY"), ("longer-key-name", "FERNET_KEY_PREVIOUS_A"), ("like-a-loader", "OLD_PRELOAD"), ("git-token", "GIT_TOKEN")):
        good("name-" + case, "a token is opened whatever the name of its variable", (name, token, plain))

    stays("text", "a value that is no token stays", "changeme")
    stays("empty", "an empty value stays", "")
    stays("short-beginning", "a text that begins as a token and is no longer than a key stays", token[:44])
    stays("base64-text", "a text in base64 stays", base64.b64encode(CANARY * 9).decode())
    stays("jwt", "a JWT stays", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJjYW5hcnkifQ" * 5 + ".c2lnbmF0dXJl")
    stays("pem", "a PEM block stays, even if a line of it begins as a token",
          "-----BEGIN PRIVATE KEY-----\n" + "\n".join(token[i * 32:i * 32 + 32] * 2 for i in range(3)) + "\n-----END PRIVATE KEY-----\n")
    stays("version", "a token of version 0x81 is none", b64(seal(version=0x81)))
    stays("inside-cut", "a token that was cut, in another text, stays", "see " + token[:97] + " there")
    stays("inside-longer", "a text in another, which has the beginning of a token in its middle, stays", "https://host/a" + token)
    stays("double-text", "a text in base64, for a reader that expects two layers", base64.b64encode(CANARY).decode(), double_base64=True)
    good("double", "a token in a second layer of base64, for a reader that expects it",
         ("SECRET_A", base64.b64encode(token.encode()).decode(), plain), double_base64=True)

    good("no-equals-required", "a name without = is no variable, whatever is required", "SECRET_A", require=["SECRET_*"])
    good("skip", "a name that is to be skipped stays", ("APP_TOKEN", other), ("SECRET_A", token, plain), skip=["APP_*"])
    good("skip-second", "the second of two names that are to be skipped", ("APP_TOKEN", token), ("SECRET_A", token, plain), skip=["X", "APP_TOKEN"])
    good("require", "a token where one is required", ("SECRET_A", token, plain), ("B", "changeme"), require=["SECRET_*"])
    good("require-absent", "a variable that is required and not there", ("B", "changeme"), require=["SECRET_A"])
    good("require-keys", "the variables of the keys are no tokens, whatever is required", ("SECRET_A", token, plain), require=["*"])
    good("require-skip", "what is required and to be skipped is skipped", ("SECRET_PORT", "80"), require=["SECRET_*"], skip=["SECRET_PORT"])
    good("obeyed-plain", "a plain value of a name that the loader obeys", ("LD_PRELOAD", "/lib/x.so"))
    good("obeyed-required", "a token for a name that the loader obeys, which is required by its whole name", ("LD_PRELOAD", token, plain), require=["LD_PRELOAD"])
    good("files", "a folder adds variables, in the order of their names", ("SECRET_A", token, plain), files={"db.b": token + "\n", "A-A": old},
         added=[("A-A", "", plain), ("db.b", "", plain)], previous=["A-A"])
    good("files-glob", "of a folder, what a glob matches", files={"SECRET_B": token, "ca.crt": "changeme"}, globs=["SECRET*"], added=[("SECRET_B", "", plain)])
    good("files-skip", "of a folder, not what is to be skipped", files={"SECRET_B": token, "ca.crt": "changeme"}, skip=["ca*"], added=[("SECRET_B", "", plain)])
    good("files-longer-name", "a variable whose name only begins like that of a file", ("AB", "b"), files={"A": token}, added=[("A", "", plain)])
    good("files-obeyed", "a file with a name that the loader obeys, and a glob that is this name", files={"LD_AUDIT": token}, globs=["LD_AUDIT"],
         added=[("LD_AUDIT", "", plain)])
    good("globs-not-environ", "globs do not narrow the environment", ("API", token, plain), files={"A": token}, globs=["A"], added=[("A", "", plain)])

    def bad(case, about, error, *entries, **fields):
        g.place(case, about, environ=environment(keys + list(entries)), error=error, **choose(fields))

    def near(case, about, error, value):
        bad("near-" + case, about, "malformed/" + error, ("DATABASE_URL", value), name="DATABASE_URL")

    def outer(inner):
        return base64.b64encode(inner.encode()).decode()

    near("two-line-breaks", "two line breaks behind the token", "around", token + "\n\n")
    near("carriage-return", "a carriage return behind the token", "around", token + "\r")
    near("blank-before", "a blank before the token", "around", " " + token)
    near("blank-behind", "a blank behind the token", "around", token + " ")
    near("tab", "a tab behind the token", "around", token + "\t")
    near("byte-order-mark", "a byte order mark before the token", "around", "\ufeff" + token)
    near("double-quotes", "a token in double quotes", "around", '"' + token + '"')
    near("single-quotes", "a token in single quotes", "around", "'" + token + "'")
    near("quote-behind", "a quote behind the token", "around", token + "'")
    near("unpadded", "a token without its =", "length", token.rstrip("="))
    near("padded-twice", "an = too many behind the token", "length", token + "=")
    near("equals-before", "an = before the token", "length", "=" + token)
    near("cut", "a token that was cut", "length", token[:58])
    near("cut-to-45", "the beginning of a token, one character longer than a key", "length", token[:45])
    near("cut-to-groups", "a token that was cut to whole groups of base64", "short", token[:96])
    near("wrapped", "a line break inside the token", "alphabet", token[:60] + "\n" + token[60:])
    near("standard-alphabet", "a token in the standard alphabet", "alphabet", base64.b64encode(seal(LONG)).decode())
    near("two-tokens", "a token and another behind it", "tail", token + token)
    near("double", "a token in a second layer of base64", "twice", outer(token))
    near("double-line-break", "a token in a second layer of base64, and a line break behind each", "twice", outer(token + "\n") + "\n")
    near("double-unpadded", "a token in a second layer of base64 without its =", "twice", outer(token + "\n").rstrip("="))
    near("double-quotes-around", "a token in a second layer of base64, in quotes", "twice", "'" + outer(token) + "'")
    near("double-blank-before", "a blank before the token, within the second layer", "twice", outer(" " + token))
    near("double-quote-before", "a quote before the token, within the second layer", "twice", outer('"' + token + '"'))
    near("double-blanks", "the second layer, divided by blanks", "twice", " ".join(outer(token)[i:i + 20] for i in range(0, len(outer(token)), 20)))
    near("double-url-safe", "other text around the token, within a second layer of the URL-safe alphabet", "twice",
         base64.urlsafe_b64encode(("\u00fe\u00fe://" + token).encode()).decode())
    near("thrice", "a token in three layers of base64", "twice", outer(outer(token)))
    near("inside-url", "a token in a URL", "inside", "postgres://u:" + token + "@db/x")
    near("inside-unpadded", "98 characters of a token in quotes, in another text", "inside", "{'a': '" + token[:98] + "'}")
    near("inside-line", "the line of a .env", "inside", "SECRET_A=" + token)
    near("inside-double", "a token in a second layer of base64, in a URL", "inside", "data:text/plain;base64," + outer(token))
    near("inside-underscore", "a token behind a mark that ends in _", "inside", "v1_" + token)
    near("inside-behind", "a word before the token", "inside", "Bearer " + even)

    tried = [key_id(key(0)), key_id(key(1))]
    bad("no-key", "a token under another key", "no-key", ("SECRET_A", other), name="SECRET_A", tried=tried)
    bad("no-key-line-break", "a token under another key, and a line break", "no-key", ("DB", other + "\n"), name="DB", tried=tried)
    bad("no-key-altered", "a token with another character", "no-key", ("DB", token[:50] + ("A" if token[50] != "A" else "B") + token[51:]), name="DB", tried=tried)
    bad("no-key-second", "a token that opens stands before one under another key", "no-key", ("SECRET_A", token), ("SECRET_B", other),
        name="SECRET_B", tried=tried)
    bad("no-key-elsewhere", "a first text that is no token, then the variable again, under another key", "no-key",
        ("SECRET_A", "changeme"), ("SECRET_A", other), name="SECRET_A", tried=tried)
    bad("blocks", "a byte over whole blocks", "malformed/blocks", ("SECRET_A", b64(seal(padded=pad(CANARY) + b"\1"))), name="SECRET_A")
    bad("padding", "a token that is padded wrongly", "malformed/padding", ("SECRET_A", b64(seal(padded=bytes(16)))), name="SECRET_A")
    bad("padding-odd-time", "a token that is padded wrongly, of a time so late that it begins as no other", "malformed/padding",
        ("SECRET_A", b64(seal(padded=bytes(16), time=1 << 63))), name="SECRET_A")
    bad("all", "all that is wrong is named: variables, then files", "no-key", ("B", other), ("A", token.rstrip("=")), ("C", token), ("D", "changeme"),
        name="B", tried=tried, others=["A", "D", "F"], require=["D"], files={"E": token, "F": "changeme"})
    bad("require-plain", "a plain value where a token is required", "not-sealed", ("SECRET_A", "changeme"), name="SECRET_A", require=["SECRET_*"])
    bad("require-empty", "an empty value where a token is required", "not-sealed", ("SECRET_A", ""), name="SECRET_A", require=["B", "SECRET_*"])
    bad("require-double-text", "a text in base64 where a token is required", "not-sealed", ("SECRET_A", outer("changeme")), name="SECRET_A",
        require=["*"], double_base64=True)
    for case, name in (("loader", "LD_PRELOAD"), ("path", "PATH"), ("shell", "BASH_ENV"), ("node", "NODE_OPTIONS"), ("python", "PYTHONPATH"),
                       ("perl", "PERL5OPT"), ("ruby", "RUBYOPT"), ("java", "JAVA_TOOL_OPTIONS"), ("git", "GIT_SSH_COMMAND")):
        bad("obeyed-" + case, "a token for a name that a loader, shell or interpreter obeys", "name/obeyed", (name, token), name=name)
    bad("obeyed-no-key", "a token under another key, for a name that the loader obeys", "no-key", ("LD_PRELOAD", other), name="LD_PRELOAD", tried=tried)
    bad("obeyed-wildcard", "a token for a name that the loader obeys, which is required by a wildcard", "name/obeyed", ("LD_PRELOAD", token),
        name="LD_PRELOAD", require=["LD_*", "*"])
    bad("files-obeyed-wildcard", "a file with a name that the loader obeys, and a glob that matches it", "name/obeyed", name="LD_AUDIT",
        files={"LD_AUDIT": token}, globs=["LD_*"])
    bad("files-taken", "a file with the name of a variable", "name/taken", ("A", "x"), name="A", files={"A": token})
    bad("files-equals", "a file with a = in its name", "name/equals", name="A=B", files={"A=B": token})
    bad("files-none", "a folder in which nothing is opened", "file/none", ("SECRET_A", token), files={"FERNET_KEY": "x"})
    bad("files-text", "a folder with a file that is no token", "not-sealed", name="A", files={"A": "changeme"})
    bad("bad-skip", "a name to be skipped whose bracket is not closed", "glob", ("SECRET_A", token), skip=["["])
    bad("bad-require", "a second required name whose bracket is not closed", "glob", ("SECRET_A", token), require=["SECRET*", "["])
    bad("bad-glob", "a glob for files whose bracket is not closed", "glob", files={"A": token}, globs=["["])
    return g


def encoded(files):
    return {name: base64.b64encode(content.encode() if isinstance(content, str) else content).decode() for name, content in files.items()}


def folders():
    g = Group("files", "a folder, and which of its files are opened")
    token, old, other = b64(seal()), b64(seal(under=key(1))), b64(seal(under=key(2)))
    rest = {"primary": b64(key(0)), "previous": [b64(key(1))]}

    def good(case, about, files, opened, previous=(), **fields):
        g.place(case, about, **rest, files=encoded(files), **fields, opens={"opened": encoded(opened), "previous": list(previous)})

    def bad(case, about, error, files, **fields):
        if error == "no-key":
            fields["tried"] = [key_id(key(0)), key_id(key(1))]
        g.place(case, about, **rest, files=None if files is None else encoded(files), error=error, **fields)

    one = {"SECRET-A": CANARY}
    good("one", "one token", {"SECRET-A": token}, one)
    good("two", "two tokens", {"SECRET-A": token, "SECRET-B": b64(seal(LONG))}, {"SECRET-A": CANARY, "SECRET-B": LONG})
    good("newline", "one line break behind the token", {"SECRET-A": token + "\n"}, one)
    good("crlf", "a carriage return and a line break behind the token", {"SECRET-A": token + "\r\n"}, one)
    good("newline-in-message", "a line break at the end of the message, which stays", {"SECRET-A": b64(seal(b"canary\n")) + "\n"}, {"SECRET-A": b"canary\n"})
    good("previous", "a token under the previous key", {"SECRET-A": token, "SECRET-B": old}, {"SECRET-A": CANARY, "SECRET-B": CANARY}, ["SECRET-B"])
    good("previous-two", "two tokens under the previous key, in the order of their names", {"SECRET-B": old, "SECRET-A": old},
         {"SECRET-A": CANARY, "SECRET-B": CANARY}, ["SECRET-A", "SECRET-B"])
    good("all-bytes", "a message of each byte once", {"SECRET-A": b64(seal(bytes(range(256))))}, {"SECRET-A": bytes(range(256))})
    good("empty-message", "a token of the empty message", {"SECRET-A": b64(seal(b""))}, {"SECRET-A": b""})
    good("other-names", "any name", {"db_password": token, ".hidden": token}, {"db_password": CANARY, ".hidden": CANARY})
    good("folder", "a folder beside the file", {"SECRET-A": token, "SECRET-B/SECRET-C": "changeme"}, one)
    good("subfolder", "files in a subfolder are not looked at", {"SECRET-A": token, "below/SECRET-B": "changeme"}, one)
    good("data", "what ..data has counts, not what stands beside it", {"..data/SECRET-A": token, "SECRET-A": "changeme"}, one)
    good("data-sibling", "a file beside ..data that is not in it", {"..data/SECRET-A": token, "SECRET-B": "changeme"}, one)
    good("data-older", "another folder of the volume beside ..data", {"..data/SECRET-A": token, "..2026_01/SECRET-A": "changeme"}, one)
    good("data-subfolder", "a subfolder within ..data", {"..data/SECRET-A": token, "..data/below/SECRET-B": "changeme"}, one)
    good("data-file", "..data is no folder, so it does not count", {"..data": "changeme", "SECRET-A": token}, one, through="FS")
    good("data-file-dir", "..data is no folder, so it does not count", {"..data": "changeme", "SECRET-A": token}, one, through="Dir")
    volume = {"..data": "..2026_01", "SECRET-A": "..data/SECRET-A"}
    good("volume", "the links that the kubelet makes", {"..2026_01/SECRET-A": token}, one, links=volume, through="Dir")
    good("volume-replaced", "..data points to the second of two folders", {"..2026_01/SECRET-A": token, "..2026_02/SECRET-A": old}, one,
         previous=["SECRET-A"], links={"..data": "..2026_02", "SECRET-A": "..2026_01/SECRET-A"}, through="Dir")
    good("link", "a link to a file, without ..data", {"token": token}, one, links={"SECRET-A": "token"}, globs=["SECRET*"], through="Dir")
    good("dots", "a name that begins with two points, and a glob that matches it", {"SECRET-A": token, "..SECRET": "changeme"}, one, globs=["*"])
    good("glob", "a glob narrows what is opened", {"api": token, "SECRET-A": "changeme"}, {"api": CANARY}, globs=["api"])
    good("globs", "two globs: one of them is enough", {"api": token, "db": token, "SECRET-A": "changeme"}, {"api": CANARY, "db": CANARY}, globs=["a*", "d?"])
    for name in ("FERNET_KEY", "FERNET_KEY_PREVIOUS", "KEY", "KEY_PREVIOUS", "KEY_NEXT", "CLUSTER_NAME"):
        good("not-" + name.lower().replace("_", "-"), name + " is not opened", {name: "changeme", "SECRET-A": token}, one)
    good("not-by-glob", "no glob matches the name of a key", {"KEY": "changeme", "SECRET-A": token}, one, globs=["*"])
    good("glob-exact", "a glob is for the whole name", {"API": token, "API_KEY": "changeme"}, {"API": CANARY}, globs=["API"])
    good("glob-range", "a glob with a range", {"A1": token, "AB": "changeme"}, {"A1": CANARY}, globs=["A[0-9]"])
    good("glob-one", "a ? is one character", {"A1": token, "A12": "changeme"}, {"A1": CANARY}, globs=["A?"])
    good("not-whole-name", "a name that only begins like that of a key", {"KEY_PREVIOUS_A": token}, {"KEY_PREVIOUS_A": CANARY})

    def spoilt(case, about, error, content):
        bad(case, about, error, {"SECRET-A": token, "SECRET-B": content}, name="SECRET-B")

    spoilt("text", "a text that is no token", "not-sealed", "changeme")
    spoilt("empty-file", "an empty file", "not-sealed", "")
    spoilt("newline-alone", "a line break alone", "not-sealed", "\n")
    spoilt("two-newlines", "two line breaks behind the token", "malformed/around", token + "\n\n")
    spoilt("blank-before", "a blank before the token", "malformed/around", " " + token)
    spoilt("newline-before", "a line break before the token", "malformed/around", "\n" + token)
    spoilt("blank-behind", "a blank behind the token", "malformed/around", token + " ")
    spoilt("byte-order-mark", "a byte order mark before the token", "malformed/around", "\ufeff" + token)
    spoilt("double", "a token in a second layer of base64", "malformed/twice", base64.b64encode(token.encode()).decode())
    spoilt("inside", "the line of a .env", "malformed/inside", "SECRET_B=" + token)
    spoilt("unpadded", "a token without its =", "malformed/length", token.rstrip("="))
    spoilt("blocks", "a byte over whole blocks", "malformed/blocks", b64(seal(padded=pad(CANARY) + b"\1")))
    spoilt("padding", "a token that is padded wrongly", "malformed/padding", b64(seal(padded=bytes(16))))
    spoilt("no-key", "a token under another key", "no-key", other)
    bad("all", "all files that are wrong are named", "not-sealed", {"A": "changeme", "B": token, "C": other, "D": token[:60]}, name="A", others=["C", "D"])
    bad("large", "a file over 2 MiB", "file/too-large", {"SECRET-A": token}, name="SECRET-B", large={"SECRET-B": (2 << 20) + 1})
    bad("large-not", "a file of 2 MiB", "not-sealed", {"SECRET-A": token}, name="SECRET-B", large={"SECRET-B": 2 << 20})
    bad("other-text", "a text that is no token, in a file of any name", "not-sealed", {"SECRET-A": token, "ca.crt": "canary"}, name="ca.crt")
    bad("empty-folder", "nothing is there", "file/none", {})
    bad("no-match", "no name matches", "file/none", {"MY-SECRET": token}, globs=["SECRET*"])
    bad("keys-alone", "nothing but keys", "file/none", {"FERNET_KEY": token, "KEY": token})
    bad("data-empty", "..data has no file, but one stands beside it", "file/none", {"..data/below/x": "changeme", "SECRET-A": token})
    bad("data-text", "a text that is no token in ..data, a token beside it", "not-sealed", {"..data/SECRET-A": "changeme", "SECRET-A": token}, name="SECRET-A")
    bad("bad-glob", "a glob whose bracket is not closed", "glob", {"SECRET-A": token}, globs=["["])
    bad("bad-glob-second", "the second glob is bad, the first would do", "glob", {"SECRET-A": token}, globs=["SECRET*", "["])
    bad("bad-glob-folder", "a glob whose bracket is not closed, for a real folder", "glob", {"SECRET-A": token}, globs=["["], through="Dir")
    bad("link-to-nothing", "a link to a file that is not there", "file/missing", {"token": token}, name="SECRET-A", links={"SECRET-A": "nothing"}, globs=["SECRET*"], through="Dir")
    bad("link-to-folder", "a link to a folder", "file/not-regular", {"below/token": token}, name="SECRET-A", links={"SECRET-A": "below"}, through="Dir")
    bad("volume-broken", "..data points to a folder that is not there", "file/missing", {}, name="SECRET-A", links=volume, through="Dir")
    bad("no-folder", "the folder is not there", "file/missing", None, through="Dir")
    return g


def key_sources():
    g = Group("key-source", "where the keys of an application stand: its environment, a folder, or one file")
    k = [b64(key(n)) for n in range(3)]

    def good(case, about, ids, **fields):
        g.place(case, about, **fields, key_ids=[key_id(key(n)) for n in ids])

    def bad(case, about, error, position=None, **fields):
        if position is not None:
            fields["position"] = position
        g.place(case, about, error=error, **fields)

    primary, previous = "FERNET_KEY", "FERNET_KEY_PREVIOUS"

    def variables(*entries):
        return {"source": "environ", "environ": environment(entries)}

    one = (primary, k[0])
    good("environ-one", "the primary key alone", [0], **variables(("PATH", "/bin"), one))
    good("environ-previous", "a previous key", [0, 1], **variables(one, (previous, k[1])))
    good("environ-order", "the previous key stands first", [0, 1], **variables((previous, k[1]), one))
    good("environ-two-previous", "two previous keys", [0, 2, 1], **variables(one, (previous, k[2] + "," + k[1])))
    good("environ-blanks", "blanks around the previous keys", [0, 1, 2], **variables(one, (previous, " " + k[1] + " , " + k[2] + " ")))
    good("environ-empty-previous", "an empty list of previous keys", [0], **variables(one, (previous, "")))
    good("environ-blank-previous", "a list of previous keys of a blank", [0], **variables(one, (previous, " ")))
    good("environ-twice", "the primary key is there twice: the first counts", [0], **variables(one, (primary, k[1])))
    good("environ-previous-twice", "the list of previous keys is there twice: the first counts", [0, 1], **variables(one, (previous, k[1]), (previous, k[2])))
    good("environ-longer-name", "names that begin or end like the right one", [0], **variables(("FERNET_KEYS", k[1]), ("MY_FERNET_KEY", k[2]), one))
    good("environ-no-equals", "the name without =, before the variable", [0], **variables(primary, one))
    good("environ-line-break", "a line break behind each key", [0, 1], **variables((primary, k[0] + "\n"), (previous, k[1] + "\n")))
    good("environ-crlf", "a carriage return and a line break behind the primary key", [0], **variables((primary, k[0] + "\r\n")))
    good("environ-again", "the primary key is also a previous one", [0, 1], **variables(one, (previous, k[0] + "," + k[1])))
    good("environ-previous-again", "a previous key is there twice", [0, 1, 2], **variables(one, (previous, k[1] + "," + k[2] + "," + k[1])))
    bad("environ-none", "no primary key", "key/unset", 0, name=primary, **variables((previous, k[1])))
    bad("environ-empty", "the primary key is empty", "key/unset", 0, name=primary, **variables((primary, "")))
    bad("environ-empty-first", "the primary key is empty, and there once more", "key/unset", 0, name=primary, **variables((primary, ""), one))
    bad("environ-blank", "a blank behind the primary key", "key/blank", 0, name=primary, **variables((primary, k[0] + " ")))
    bad("environ-two-line-breaks", "two line breaks behind the primary key", "key/blank", 0, name=primary, **variables((primary, k[0] + "\n\n")))
    bad("environ-line-break-alone", "the primary key is a line break", "key/empty", 0, name=primary, **variables((primary, "\n")))
    bad("environ-list", "two keys in the place of the primary one", "key/list", 0, name=primary, **variables((primary, k[0] + "," + k[1])))
    bad("environ-last-comma", "a comma behind the last previous key", "key/empty", 2, name=previous, **variables(one, (previous, k[1] + ",")))
    bad("environ-bad-previous", "the first previous key is too short", "key/short", 1, name=previous, **variables(one, (previous, "changeme," + k[1])))

    def folder(files, **links):
        return {"source": "folder", "files": encoded(files), **links}

    good("folder-one", "the primary key alone", [0], **folder({primary: k[0]}))
    good("folder-newline", "one line break behind the primary key", [0], **folder({primary: k[0] + "\n"}))
    good("folder-crlf-primary", "a carriage return and a line break behind the primary key", [0], **folder({primary: k[0] + "\r\n"}))
    good("folder-previous", "a previous key and a line break", [0, 1], **folder({primary: k[0], previous: k[1] + "\n"}))
    good("folder-commas", "two previous keys with a comma", [0, 1, 2], **folder({primary: k[0], previous: k[1] + ", " + k[2] + "\n"}))
    good("folder-lines", "two previous keys in lines", [0, 1, 2], **folder({primary: k[0], previous: k[1] + "\n" + k[2] + "\n"}))
    good("folder-crlf", "two previous keys in lines with carriage returns", [0, 1, 2], **folder({primary: k[0], previous: k[1] + "\r\n" + k[2] + "\r\n"}))
    good("folder-empty-previous", "an empty file of previous keys", [0], **folder({primary: k[0], previous: ""}))
    good("folder-others", "other files are not looked at", [0], **folder({primary: k[0], "KEY_NEXT": k[1], "below/" + previous: k[2]}))
    good("folder-data", "what ..data has counts, not what stands beside it", [0], **folder({"..data/" + primary: k[0], primary: k[1], previous: k[2]}))
    good("folder-volume", "the links that the kubelet makes", [0],
         **folder({"..2026_01/" + primary: k[0]}, links={"..data": "..2026_01", primary: "..data/" + primary}))
    bad("folder-none", "no primary key", "file/missing", name=primary, **folder({previous: k[1]}))
    bad("folder-empty", "the file of the primary key is empty", "key/empty", 0, name=primary, **folder({primary: ""}))
    bad("folder-two-newlines", "two line breaks behind the primary key", "key/blank", 0, name=primary, **folder({primary: k[0] + "\n\n"}))
    bad("folder-list", "two lines in the place of the primary key", "key/blank", 0, name=primary, **folder({primary: k[0] + "\n" + k[1] + "\n"}))
    bad("folder-empty-line", "an empty line between two previous keys", "key/empty", 2, name=previous, **folder({primary: k[0], previous: k[1] + "\n\n" + k[2]}))
    bad("folder-bad-previous", "the previous key is too short", "key/short", 1, name=previous, **folder({primary: k[0], previous: "changeme"}))
    bad("folder-folder", "a folder in the place of the primary key", "file/not-regular", name=primary, **folder({primary + "/a": k[0]}))
    bad("folder-previous-folder", "a folder in the place of the previous keys", "file/not-regular", name=previous, **folder({primary: k[0], previous + "/a": k[1]}))

    def content(text):
        return {"source": "file", "content": base64.b64encode(text.encode()).decode()}

    good("file-one", "the primary key alone", [0], **content(k[0]))
    good("file-newline", "a line break behind it", [0], **content(k[0] + "\n"))
    good("file-blanks", "lines without a key before and behind it", [0], **content("\n\n " + k[0] + " \n\n"))
    good("file-comma", "two keys with a comma", [0, 1], **content(k[0] + "," + k[1]))
    good("file-lines", "three keys in lines", [2, 0, 1], **content(k[2] + "\n" + k[0] + "\n" + k[1] + "\n"))
    good("file-crlf", "two keys in lines with carriage returns", [0, 1], **content(k[0] + "\r\n" + k[1] + "\r\n"))
    bad("file-empty", "an empty file", "key/empty", 0, **content(""))
    bad("file-blank", "a line break alone", "key/empty", 0, **content("\n"))
    bad("file-empty-line", "an empty line between two keys", "key/empty", 1, **content(k[0] + "\n\n" + k[1]))
    bad("file-first-comma", "a comma before the first key", "key/empty", 0, **content("," + k[0]))
    bad("file-bad-second", "the second key is too short", "key/short", 1, **content(k[0] + "\nchangeme\n"))
    good("file-again", "the primary key once more", [0, 1], **content(k[0] + "\n" + k[0] + "\n" + k[1]))
    bad("file-variable", "the line of a .env", "key/alphabet", 0, **content("KEY=" + k[0]))
    bad("file-none", "the file is not there", "file/missing", source="file")
    return g


def main():
    folder = pathlib.Path(sys.argv[1])
    groups = [keys(), base64_texts(), truncations(), padding(), versions_and_times(),
              tails(), multi_key(), signatures(), messages(), double_base64(),
              environments(), folders(), key_sources()]
    ids = [case["id"] for g in groups for case in g.cases]
    assert len(set(ids)) == len(ids)
    wrong = [line for g in groups for line in g.wrong]
    if wrong:
        sys.exit("\n".join(wrong))
    for g in groups:
        g.write(folder)


main()
