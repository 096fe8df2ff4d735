"""Problems of a configuration, with position, excerpt and fix, as text for people and as plain data for programs."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import LINE_BREAK, Place
from mcp_orchestrator.config.masking import MASK, Span, guess_ranges, mask_line

_WIDTH: Final = 100
_LEAD: Final = 40


class Severity(enum.StrEnum):
    """Whether a file with this problem is refused; a note is only worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` and `column` count from 1, None when the problem has no position.

    `excerpt` is the source line with everything masked that may be a secret, cut to a readable width; `caret` is the
    0-based character of the excerpt that `column` points at. `fix` is a sentence, or empty.
    """

    code: Code
    message: str
    file: str
    line: int | None = None
    column: int | None = None
    excerpt: str = ""
    caret: int = 0
    fix: str = ""
    severity: Severity = Severity.ERROR

    @property
    def where(self) -> str:
        """`file:line:column`, as far as known."""
        return self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"

    def render(self) -> str:
        """The problem as text of two to five lines, the excerpt with a caret under the place."""
        lines = [f"{self.severity} {self.code} {self.where}: {self.message}"]
        if self.line is not None and self.excerpt:
            gutter = f"{self.line:5} | "
            lines += [f"{gutter}{self.excerpt}", f"{'| ':>{len(gutter)}}{' ' * self.caret}^"]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The problem as plain JSON data."""
        return {
            "code": str(self.code),
            "severity": str(self.severity),
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "excerpt": self.excerpt,
            "fix": self.fix,
        }


def render(problems: Iterable[Problem]) -> str:
    """All problems as text, separated by blank lines."""
    return "\n\n".join(problem.render() for problem in problems)


def closest(word: str, possible: Iterable[str]) -> str | None:
    """The possible word that was probably meant, case aside."""
    words = list(possible)
    folded = {candidate.casefold(): candidate for candidate in reversed(words)}
    matches = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def did_you_mean(word: str, possible: Sequence[str]) -> str:
    """A fix that names the word that was probably meant, or else all possible ones."""
    match = closest(word, possible)
    if match is not None:
        return f'did you mean "{match}"?'
    return f"possible here: {', '.join(possible)}"


@dataclass(slots=True)
class Notes:
    """Collects the problems of one file while it is read; `problems` makes the excerpts at the end.

    Excerpts wait because what must be masked is only known once the whole file has been parsed. Until `hide` is
    called the file counts as unparsed and is masked by guess.
    """

    file: str
    text: str = ""
    _drafts: list[tuple[Code, str, Place | None, str, Severity]] = field(default_factory=list)
    _spans: list[Span] | None = None

    def error(self, code: Code, message: str, place: Place | None, fix: str) -> None:
        """Note something for which the file is refused, with what to do about it."""
        self._drafts.append((code, message, place, fix, Severity.ERROR))

    def warn(self, code: Code, message: str, place: Place | None, fix: str = "") -> None:
        """Note something that should be mended."""
        self._drafts.append((code, message, place, fix, Severity.WARNING))

    def note(self, code: Code, message: str, place: Place | None, fix: str = "") -> None:
        """Note something that is worth knowing and no problem."""
        self._drafts.append((code, message, place, fix, Severity.NOTE))

    def hide(self, spans: list[Span]) -> None:
        """Say which parts of the file must never be shown."""
        self._spans = spans

    @property
    def refused(self) -> bool:
        """Whether any error was noted."""
        return any(draft[4] is Severity.ERROR for draft in self._drafts)

    def problems(self) -> tuple[Problem, ...]:
        """All problems in the order of the file, those without a position first, each once."""
        lines = LINE_BREAK.split(self.text)
        made = (self._finish(draft, lines) for draft in dict.fromkeys(self._drafts))
        return tuple(sorted(made, key=lambda p: (p.line or 0, p.column or 0)))

    def _finish(self, draft: tuple[Code, str, Place | None, str, Severity], lines: list[str]) -> Problem:
        code, message, place, fix, severity = draft
        if place is None:
            return Problem(code, message, self.file, fix=fix, severity=severity)
        excerpt, caret = "", 0
        if place.line <= len(lines):
            line = lines[place.line - 1]
            if self._spans is None:
                ranges = guess_ranges(lines, place.line)
            else:
                ranges = mask_line(line, place.line, self._spans)
            excerpt, caret = _excerpt(line, place.column - 1, ranges)
        return Problem(code, message, self.file, place.line, place.column, excerpt, caret, fix, severity)


def _excerpt(line: str, caret: int, hidden: list[tuple[int, int]]) -> tuple[str, int]:
    """The line with hidden ranges replaced, tabs and control characters as spaces, cut around the caret."""
    parts: list[str] = []
    position, length, moved = 0, 0, min(caret, len(line))
    for first, last in hidden:
        if first <= caret < last:
            moved = length + first - position
        elif caret >= last:
            moved = moved - (last - first) + len(MASK)
        parts += [line[position:first], MASK]
        length += first - position + len(MASK)
        position = last
    parts.append(line[position:])
    shown = "".join(c if c.isprintable() else " " for c in "".join(parts)).rstrip()
    if len(shown) <= _WIDTH:
        return shown, moved
    start = max(0, min(moved - _LEAD, len(shown) - _WIDTH))
    cut = shown[start : start + _WIDTH]
    return ("…" + cut[1:] if start else cut) + ("…" if start + _WIDTH < len(shown) else ""), moved - start
