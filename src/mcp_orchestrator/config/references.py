"""References in values: environment variables, secrets, and the spellings of other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes
from mcp_orchestrator.config.document import LINE_BREAK, Place, Scalar
from mcp_orchestrator.config.files import home
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.model.snapshot import Secret

_OPEN: Final = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_ENV: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_BARE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET: Final = re.compile(r"secret:([a-z]+)/(.+)", re.DOTALL)
_HOW: Final = "write ${env:NAME}, ${env:NAME:-value} or ${secret:SCHEME/NAME}; $${ is a literal ${"


@dataclass(frozen=True, slots=True)
class Filled:
    """A value with its references filled in. `referred` tells whether there were any."""

    text: str
    referred: bool


@dataclass(frozen=True, slots=True)
class References:
    """Fills references in. `foreign` allows the spellings of other programs, `secrets_fit` secrets."""

    environ: Mapping[str, str]
    secrets: Mapping[str, Callable[[str], Secret]]
    directory: Path
    notes: Notes
    foreign: bool = False
    secrets_fit: bool = False

    def within(self, *, foreign: bool, secrets_fit: bool) -> References:
        """The same for another part of the file."""
        return replace(self, foreign=foreign, secrets_fit=secrets_fit)

    def fill(self, scalar: Scalar) -> Filled | None:
        """The text of a scalar with references filled in; None after noting what could not be."""
        text = scalar.text
        if "${" not in text:
            return Filled(text, referred=False)
        parts: list[str] = []
        position, failed, referred = 0, False, False
        for match in _OPEN.finditer(text):
            parts.append(text[position : match.start()])
            position = match.end()
            if match[0] == "$${":
                parts.append("${")
                continue
            value = self._value(match[1], match[0], _inside(scalar, match.start()))
            referred = True
            failed = failed or value is None
            if match[1] is None:
                break
            parts.append(value or "")
        parts.append(text[position:])
        return None if failed else Filled("".join(parts), referred)

    def _value(self, inner: str | None, whole: str, place: Place) -> str | None:
        if inner is None:
            self.notes.error(Code.BAD_REFERENCE, "a reference that does not end, or contains another", place, _HOW)
            return None
        for pattern, use in ((_ENV, self._variable), (_SECRET, self._secret)):
            match = pattern.fullmatch(inner)
            if match:
                return use(match[1], match[2], place)
        if self.foreign:
            return self._foreign(inner, whole, place)
        bare = _BARE.fullmatch(inner)
        fix = f"write ${{env:{inner}}}" if bare and ":" not in inner.split(":-")[0] else _HOW
        self.notes.error(Code.BAD_REFERENCE, "a reference that is not understood here", place, fix)
        return None

    def _variable(self, name: str, fallback: str | None, place: Place) -> str | None:
        value = self.environ.get(name)
        if fallback is not None:
            return value or fallback
        if value is None:
            fix = f"set it before the gateway starts, or write ${{env:{name}:-value}}"
            self.notes.error(Code.UNSET_VARIABLE, f"environment variable {name} is not set", place, fix)
        return value

    def _secret(self, scheme: str, name: str, place: Place) -> str | None:
        if not self.secrets_fit:
            fix = "use ${env:NAME} if the value is none, or move it to env, headers, args or url of a server or agent"
            self.notes.error(Code.MISPLACED_SECRET, "a secret may not stand here: it would be shown", place, fix)
            return None
        resolve = self.secrets.get(scheme)
        if resolve is None:
            known = ", ".join(sorted(self.secrets)) or "none"
            self.notes.error(Code.BAD_REFERENCE, f'no secret source "{scheme}"', place, f"sources here: {known}")
            return None
        try:
            return resolve(name).reveal()
        except LookupError as error:
            message, _, fix = str(error.args[0] if error.args else "not found").partition(": ")
            about = f"secret {shown(f'{scheme}/{name}')}: {message}"
            self.notes.error(Code.SECRET_UNRESOLVED, about, place, fix or "mend it, or name another secret")
            return None

    def _foreign(self, inner: str, whole: str, place: Place) -> str | None:
        """`${NAME}` of Claude Code 2.1 and Gemini CLI; `${userHome}` and the like of VS Code and Cursor."""
        fixed = {
            "userHome": str(home(self.environ)),
            "workspaceFolder": str(self.directory),
            "workspaceFolderBasename": self.directory.name,
            "pathSeparator": "/",
            "/": "/",
        }
        if inner in fixed:
            return fixed[inner]
        bare = _BARE.fullmatch(inner)
        if bare:
            return self._variable(bare[1], bare[2], place)
        if inner.startswith("input:"):
            message = "a value that VS Code would ask a person for"
            self.notes.error(Code.BAD_REFERENCE, message, place, "write ${env:NAME} or ${secret:SCHEME/NAME}")
            return None
        self.notes.warn(Code.BAD_REFERENCE, "not understood as a reference and passed on as it is", place, _HOW)
        return whole


def _inside(scalar: Scalar, index: int) -> Place:
    """The place of a character of a scalar: exact when it is written on one line without escapes, else its start."""
    one_line = scalar.start.line == scalar.end.line and not LINE_BREAK.search(scalar.text)
    extra = scalar.end.column - scalar.start.column - len(scalar.text)
    if not one_line or extra not in {0, 2}:
        return scalar.start
    return Place(scalar.start.line, scalar.start.column + extra // 2 + index)
