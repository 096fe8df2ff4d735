"""Ids of messages: as numbers we gave out, and read off the ends of a message that is not parsed."""

from __future__ import annotations

import re
from typing import Final

_MAX_DIGITS: Final = 18

# Where the id of a message can be read off its two ends without parsing it (Python and Go write it first, TypeScript
# last). Both forms can only match the top level of the object.
_ID: Final = rb'"id"\s*:\s*("?)(\d{1,18})\1\s*'
ID_AHEAD: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID + rb",")
ID_BEHIND: Final = re.compile(rb",\s*" + _ID + rb'(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')
METHOD_AHEAD: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"method"\s*:')


def number_of(key: object) -> int | None:
    """An id or token as the number we gave out: 7, "7" and 7.0 are the same; None for anything else."""
    if isinstance(key, bool):
        return None
    if isinstance(key, int):
        return key
    if isinstance(key, str) and key.isdecimal() and len(key) <= _MAX_DIGITS:
        return int(key)
    return int(key) if isinstance(key, float) and key.is_integer() else None


def is_utf8(data: bytes) -> bool:
    """Whether bytes are text in UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
