"""The form of our tokens: `mco_`, 256 random bits, and a checksum by which scanners tell them from other text.

`mco_` + 43 characters (the bits, base 62) + 6 characters (CRC-32 of what stands before, base 62): letters and digits
alone, so that one click selects it and no shell, URL or header has to quote it. What is kept of a token is its SHA-256.
A slow hash would add nothing: nobody guesses 256 random bits. Nor need a digest be looked up in constant time: who
measures how long the look-up takes learns about the hash of what he sent, and cannot choose a token by its hash.
"""

from __future__ import annotations

import hashlib
import re
import string
import zlib
from typing import Final

PREFIX: Final = "mco_"
RANDOM_BYTES: Final = 32
_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY: Final = 43
_CHECK: Final = 6

FORM: Final = rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _CHECK}}}"
"""A regular expression for scanners; `is_token` also looks at the checksum."""


def make(randomness: bytes) -> str:
    """The token of 32 random bytes."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"a token is made of {RANDOM_BYTES} random bytes")
    body = PREFIX + _base62(int.from_bytes(randomness, "big"), _BODY)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether a text is of this form, checksum included: true of every token that we ever gave out."""
    return re.fullmatch(FORM, text) is not None and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def digest(token: str) -> bytes:
    """What is kept of a token: 32 bytes."""
    return hashlib.sha256(token.encode("ascii", "replace")).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
