"""Durations and sizes as people write them."""

from __future__ import annotations

import math
import re
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "": 1, "B": 1,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
    "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
DURATION_PATTERN: Final = r"^(([0-9]+(\.[0-9]+)?)(ms|s|m|h|d))+$"
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")
SIZE_PATTERN: Final = r"^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|kB|KB|MB|GB)?$"


def parse_duration(value: object) -> float | None:
    """Seconds from a number of seconds or from text such as `500ms`, `30s`, `1h30m`; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) and value >= 0 else None
    if not isinstance(value, str) or not value:
        return None
    total, position = 0.0, 0
    for match in _PART.finditer(value):
        if match.start() != position:
            return None
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    return total if position == len(value) else None


def parse_size(value: object) -> int | None:
    """Bytes from a number of bytes or from text such as `64KiB`, `1.5MiB`, `10MB`; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _BYTES:
        return None
    return int(float(match[1]) * _BYTES[match[2]]) if "." in match[1] else int(match[1]) * _BYTES[match[2]]


def show_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back, for whole milliseconds."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def show_size(size: int) -> str:
    """The shortest text that `parse_size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)
