"""What the journal keeps of a call's arguments where `observe.capture` asks for it: without secrets, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.effects import Redactor
from mcp_orchestrator.model.rules import Redaction

MOST: Final = 4096
"""Bytes of JSON that are kept of the arguments of one call."""

LOOKED_AT: Final = 64 * 1024
"""Arguments of more bytes of JSON are not looked through, and only their size is kept."""

SECRET_NAMES: Final = ("password", "passwd", "passphrase", "secret", "token", "credential", "authorization", "cookie")
"""Arguments and fields, at any depth, whose name has one of these words in it are left out, in any case."""

_KEYS: Final = (("api", "key"), ("access", "key"), ("private", "key"))

_encoder: Final = msgspec.json.Encoder()


class Capture:
    """Makes of arguments what the journal may keep of them: every named pattern and every secret field taken out."""

    def __init__(self) -> None:
        words = [_any_case(word) for word in SECRET_NAMES]
        for first, second in _KEYS:
            words += [_any_case(first) + between + _any_case(second) for between in ("", "?")]
        self._redactor = Redactor((Redaction(patterns=("*",), fields=tuple(f"**.*{word}*" for word in words)),))

    def __call__(self, arguments: Any, redact: Callable[[str], str]) -> Any:
        """What is kept. `redact` takes out the secrets that we gave to the server.

        Too much of it is {"oversize": bytes, "start": the beginning of its JSON}; far too much has no beginning.
        """
        if not isinstance(arguments, Mapping):
            return {}
        try:
            size = len(_encoder.encode(arguments))
            if size > LOOKED_AT:
                return {"oversize": size}
            kept = _texts(self._redactor.arguments({"": dict(arguments)})[""], redact)
            text = _encoder.encode(kept)
        except (TypeError, ValueError, RecursionError) as error:
            return {"unencodable": type(error).__name__}
        if len(text) <= MOST:
            return kept
        return {"oversize": len(text), "start": text[: MOST - 64].decode("utf-8", "ignore")}


def _any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


def _texts(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _texts(one, redact) for key, one in value.items()}
    return [_texts(one, redact) for one in value] if isinstance(value, list) else value
