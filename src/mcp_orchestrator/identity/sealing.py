"""Seals what clients carry for us: AES-256-GCM (NIST SP 800-38D) and AES-SIV (RFC 5297), keys never leave the machine."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"mcp-orchestrator state 1\x00"
_STAMP: Final = b"mcp-orchestrator stamp 1"
_LONGEST: Final = 256 * 1024


class AesGcmSealer:
    """Implements `plugin_api.Sealer`. Nonces are random: one key is good for some billion states."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._siv = AESSIV(hmac.digest(key, _STAMP, hashlib.sha512))

    def seal(self, inside: bytes, bond: bytes) -> str:
        """A URL-safe token that opens only with the same bond."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, inside, _FORMAT + bond)
        return base64.urlsafe_b64encode(nonce + sealed).decode("ascii")

    def unseal(self, token: str, bond: bytes) -> bytes:
        """What is inside.

        Raises:
            ValueError: not made by us, altered, or made for somebody or something else. The text says no more.
        """
        if len(token) > _LONGEST:
            raise ValueError("it is too long to be ours")
        try:
            sealed = _bytes_of(token)
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _FORMAT + bond)
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise ValueError("it is not ours, was altered, or belongs to another call") from error

    def stamp(self, inside: bytes, bond: bytes) -> str:
        """A URL-safe token that is the same whenever it is made with this key. `inside` is not empty."""
        return base64.urlsafe_b64encode(self._siv.encrypt(inside, [bond])).decode("ascii")

    def unstamp(self, token: str, bond: bytes) -> bytes:
        """What is inside a stamp.

        Raises:
            ValueError: not made by us, altered, or made for something else. The text says no more.
        """
        if len(token) > _LONGEST:
            raise ValueError("it is too long to be ours")
        try:
            return self._siv.decrypt(_bytes_of(token), [bond])
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise ValueError("it is not ours, was altered, or belongs elsewhere") from error


def _bytes_of(token: str) -> bytes:
    """The bytes that this token stands for; raises ValueError for any other spelling of theirs than our own."""
    decoded = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(decoded).decode("ascii") != token:
        raise ValueError("another spelling of the same bytes")
    return decoded


def new_key() -> bytes:
    """A key for this process alone."""
    return secrets.token_bytes(KEY_BYTES)


def key_beside(state_file: Path) -> bytes:
    """The key of a state file: made once, 0600, shared by all gateways that use the file.

    Raises:
        OSError: it cannot be read or made.
        ValueError: the file holds something else.
    """
    path = state_file.with_name("seal.key")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        whole = path.with_name(f"seal.key.{os.getpid()}")
        made = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(new_key())
        try:
            with contextlib.suppress(FileExistsError):
                os.link(whole, path)  # whole or not at all, and never over another gateway's
        finally:
            whole.unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} does not hold a key of {KEY_BYTES} bytes: remove it and a new one is made")
    return key
