"""Loads a configuration file: read, check, compile; every problem at once, never an exception for a wrong file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_orchestrator.config.check import check
from mcp_orchestrator.config.compile import compile_snapshot
from mcp_orchestrator.config.diagnose import Problem, Severity
from mcp_orchestrator.config.files import read
from mcp_orchestrator.config.proving import Remembered, prove
from mcp_orchestrator.config.references import References
from mcp_orchestrator.model.snapshot import Secret, Snapshot


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a file: the snapshot, None when it has an error; and all problems in the order of the file."""

    snapshot: Snapshot | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which the file was refused."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not stand in the way."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    secrets: Mapping[str, Callable[[str], Secret]],
    remember: Callable[[Snapshot], Remembered] = lambda _snapshot: lambda _server: None,
    strict: bool = False,
) -> Loaded:
    """Load a file.

    Args:
        path: the file; `.json` is read as JSON (with comments), everything else as YAML.
        environ: for `${env:NAME}`, for `~` and for the default places.
        secrets: by scheme, what resolves `${secret:SCHEME/NAME}`; it raises LookupError with what to do.
        remember: gives what servers offered when they were last seen; asked only where tools are mapped or overridden.
        strict: whether what speaks against servers as they were last seen is an error, or a warning.
    """
    source, notes = read(path)
    if source.root is None:
        return Loaded(None, notes.problems())
    references = References(environ, secrets, path.parent.absolute(), notes)
    checked = check(source.root, references)
    snapshot = compile_snapshot(source, source.root, checked, references)
    if snapshot.tools or snapshot.overrides:
        prove(source.root, snapshot, notes, remember(snapshot), strict=strict)
    problems = notes.problems()
    if notes.refused:
        return Loaded(None, problems)
    warnings = tuple(problem.render() for problem in problems if problem.severity is Severity.WARNING)
    return Loaded(replace(snapshot, warnings=warnings), problems)
