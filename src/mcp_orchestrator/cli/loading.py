"""Finds and loads the configuration for a command, or ends it with every problem that the file has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.printing import Printer, Style, safe
from mcp_orchestrator.model.snapshot import Snapshot

if TYPE_CHECKING:
    from mcp_orchestrator.config.diagnose import Problem

ERROR = "error"
"""The severity (`config.diagnose.Severity`) for which a file is refused."""

WARNING = "warning"
"""The severity of what should be mended."""


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of looking for a configuration. `path` is None when there is none; `snapshot` when it is refused."""

    path: Path | None
    snapshot: Snapshot | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that may be run."""

    path: Path
    snapshot: Snapshot
    problems: tuple[Problem, ...]


def look(explicit: Path | None, *, strict: bool = False) -> Loading:
    """Find the configuration (`--config`, working directory, user's directory) and load it; never raises.

    With `strict`, what speaks against servers as they were last seen is an error.
    """
    from mcp_orchestrator.config.files import find  # noqa: PLC0415 - help must not pay for it
    from mcp_orchestrator.wiring import load_config  # noqa: PLC0415 - likewise

    found = find(explicit, environ=os.environ, directory=Path.cwd())
    if not isinstance(found, Path):
        return Loading(None, None, (found,))
    loaded = load_config(found, strict=strict)
    return Loading(found, loaded.snapshot, tuple(loaded.problems))


def require(explicit: Path | None, printer: Printer, *, warn: bool = False) -> Configuration:
    """The configuration; with `warn`, warnings are printed on standard error.

    Raises:
        Ended: exit code 2 with all problems, when there is none or it is refused.
    """
    loading = look(explicit)
    if loading.path is None or loading.snapshot is None:
        raise refused(loading, printer)
    if warn:
        show(loading.problems, printer)
    return Configuration(loading.path, loading.snapshot, loading.problems)


def refused(loading: Loading, printer: Printer) -> Ended:
    """The ending for a configuration that cannot be run; as text, its problems are printed now."""
    if not printer.json:
        show(loading.problems, printer)
    errors = sum(problem.severity == ERROR for problem in loading.problems)
    if loading.path is None:
        message = "there is no configuration"
    else:
        message = f"{loading.path} is refused: {errors} error{'' if errors == 1 else 's'}"
    details = {"problems": [problem.as_json() for problem in loading.problems]}
    return Ended(Exit.USAGE, message, details=details)


def show(problems: Iterable[Problem], printer: Printer) -> None:
    """Print problems on standard error."""
    for problem in problems:
        first, newline, rest = safe(problem.render()).partition("\n")
        colour = {ERROR: Style.BAD, WARNING: Style.WARN}.get(problem.severity, Style.FAINT)
        printer.note(first, colour)
        if newline:
            printer.note(rest)
