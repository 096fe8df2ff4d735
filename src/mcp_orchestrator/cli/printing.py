"""Printing: results on standard output, everything else on standard error, foreign text made harmless.

A printer belongs to one invocation. Text that came from a server, a file or a tool goes through `safe`, so that no
control sequence reaches the terminal; JSON is escaped likewise, which leaves its meaning untouched.
"""

from __future__ import annotations

import enum
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from mcp_orchestrator.cli.exits import Ended, Exit

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional marks, the byte order mark, lone surrogates.
_CONTROL: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
)
_HARMFUL: Final = re.compile(f"[{_CONTROL}]")
_HARMFUL_IN_CELL: Final = re.compile(f"[{_CONTROL}\t\n]")
_GAP: Final = "  "
_NARROWEST: Final = 8
_DESCRIBING: Final = 20


class Format(enum.StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class Style(enum.StrEnum):
    """What a piece of text means; shown in colour on a terminal, never the only carrier of the meaning."""

    STRONG = "1"
    GOOD = "32"
    WARN = "33"
    BAD = "31"
    FAINT = "2"


def safe(text: str) -> str:
    r"""`text` with control characters written out (`\x1b`), newlines and tabs kept."""
    return _HARMFUL.sub(_escaped, text)


def safe_line(text: str) -> str:
    """`text` on one line: control characters, newlines and tabs written out."""
    return _HARMFUL_IN_CELL.sub(_escaped, text)


def safe_json(value: Any) -> str:
    r"""`value` as indented JSON in which every control character is written as `\uXXXX`: same meaning, no effects."""
    return _HARMFUL.sub(_unicode_escape, json.dumps(value, ensure_ascii=False, indent=2, default=str))


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns; what was cut shows as `...`."""
    if columns(text) <= width:
        return text
    kept = ""
    room = max(width - 3, 0)
    for character in text:
        room -= _columns_of(character)
        if room < 0:
            break
        kept += character
    return f"{kept.rstrip()}..."[: max(width, 3)]


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(_columns_of(character) for character in text)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Aligned columns two blanks apart, as plain text.

    With `width`, the last column and then the widest give way until it fits. Cells are made harmless here. Nothing is cut when `width` is None, so that pipes see everything.
    """
    cells = [[safe_line(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(columns(row[index]) for row in cells) for index in range(len(headings))]
    if width is not None:
        _squeeze(widths, width - len(_GAP) * (len(widths) - 1))
    return "\n".join(_row(row, widths, cut=width is not None) for row in cells)


class Printer:
    """Where a command prints. `format` may still change while options are read."""

    def __init__(self, chosen: Format = Format.TEXT, *, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.format = chosen
        self._out = out
        self._err = err

    @property
    def json(self) -> bool:
        """True when results are wanted as JSON."""
        return self.format is Format.JSON

    @property
    def width(self) -> int | None:
        """Columns of the terminal that results go to; None when they go elsewhere and COLUMNS is not set."""
        if not _is_terminal(self._stdout) and not os.environ.get("COLUMNS", "").isdigit():
            return None
        return shutil.get_terminal_size((100, 24)).columns

    @property
    def _stdout(self) -> TextIO:
        return self._out or sys.stdout

    @property
    def _stderr(self) -> TextIO:
        return self._err or sys.stderr

    def result(self, value: Any, text: str) -> None:
        """The result of a command: `value` as JSON, or `text` for a person (already made harmless)."""
        self.line(safe_json(value) if self.json else text)

    def line(self, text: str) -> None:
        """One line of the result; nothing for an empty text.

        Raises:
            BrokenPipeError: the reader went away.
            Ended: the result cannot be written for another reason, such as a full disk.
        """
        if not text:
            return
        try:
            self._stdout.write(text + "\n")
            self._stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Ended(Exit.UNEXPECTED, f"the result cannot be written: {error.strerror}") from error

    def note(self, text: str, style: Style | None = None) -> None:
        """Anything that is not the result, on standard error."""
        self._stderr.write(self._painted(self._stderr, text, style) + "\n")
        self._stderr.flush()

    def json_line(self, value: Any) -> None:
        """`value` as one line of JSON on standard error, for programs that follow what happens."""
        text = json.dumps(value, ensure_ascii=False, default=str)
        self.note(_HARMFUL.sub(_unicode_escape, text))

    def paint(self, text: str, style: Style) -> str:
        """`text` in a style where results go to a terminal that may have colour."""
        return self._painted(self._stdout, text, style)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """A table as wide as the terminal, with its headings set off."""
        head, _, body = table(headings, rows, self.width).partition("\n")
        painted = self.paint(head, Style.STRONG)
        return f"{painted}\n{body}" if body else painted

    def failure(self, code: int, message: str, fix: str, details: Mapping[str, Any]) -> None:
        """Why the command ended with `code`, on standard error; one JSON object under `--format json`."""
        if self.json:
            error = {"exit": int(code), "message": message} | ({"fix": fix} if fix else {}) | dict(details)
            self.note(safe_json({"error": error}))
            return
        self.note(f"{self._painted(self._stderr, 'Error:', Style.BAD)} {safe(message)}")
        if fix:
            self.note(f"Fix: {safe(fix)}")

    def _painted(self, stream: TextIO, text: str, style: Style | None) -> str:
        if style is None or not text or not _may_colour(stream):
            return text
        return f"\x1b[{style.value}m{text}\x1b[0m"


def _is_terminal(stream: TextIO) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def _may_colour(stream: TextIO) -> bool:
    """Colour only on a terminal that can show it, and never with NO_COLOR (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and _is_terminal(stream)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return named or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004 - two hexadecimal digits


def _unicode_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _squeeze(widths: list[int], room: int) -> None:
    """The last column, which describes, gives way first: names are there to be copied."""
    widths[-1] = max(min(widths[-1], _DESCRIBING), widths[-1] - max(sum(widths) - room, 0))
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _row(cells: Sequence[str], widths: Sequence[int], *, cut: bool) -> str:
    shown = [shorten(cell, width) if cut else cell for cell, width in zip(cells, widths, strict=True)]
    return _GAP.join(cell + " " * (width - columns(cell)) for cell, width in zip(shown, widths, strict=True)).rstrip()
