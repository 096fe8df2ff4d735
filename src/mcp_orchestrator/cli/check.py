"""`check`: reads a configuration and says everything that is wrong with it; starts nothing."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.loading import WARNING, Loading, look, show
from mcp_orchestrator.cli.options import config_option, format_option, printer
from mcp_orchestrator.cli.printing import safe


@click.command("check")
@config_option
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@format_option
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
def command(config: Path | None, file: Path | None, strict: bool) -> int:
    """Check a configuration; starts nothing.

    Every problem is shown at once, with its place, an excerpt and how to mend it. Exit code 2 when the file would be
    refused.
    """
    here = click.get_current_context().get_parameter_source("config") is ParameterSource.COMMANDLINE
    if here and file is not None and config != file:
        raise click.UsageError("name the file once: as FILE or with --config", click.get_current_context())
    out = printer()
    loading = look(file or config, strict=True)
    wrong = loading.snapshot is None or (strict and any(problem.severity == WARNING for problem in loading.problems))
    if out.json:
        out.result(_as_json(loading, wrong), "")
    else:
        show(loading.problems, out)
        if not wrong:
            out.line(_summary(loading))
        elif loading.snapshot is not None:
            out.note("Refused: --strict counts warnings as errors.")
    return Exit.USAGE if wrong else Exit.DONE


def _as_json(loading: Loading, wrong: bool) -> dict[str, object]:
    snapshot = loading.snapshot
    return {
        "ok": not wrong,
        "file": None if loading.path is None else str(loading.path),
        "problems": [problem.as_json() for problem in loading.problems],
        "backends": sorted(snapshot.backends) if snapshot is not None else [],
        "agents": list(snapshot.agents) if snapshot is not None else [],
        "profiles": sorted(snapshot.profiles) if snapshot is not None else [],
    }


def _summary(loading: Loading) -> str:
    snapshot = loading.snapshot
    if snapshot is None:
        return ""
    warnings = sum(problem.severity == WARNING for problem in loading.problems)
    agents = [_count(len(snapshot.agents), "agent")] if snapshot.agents else []
    parts = [_count(len(snapshot.backends), "backend"), *agents, _count(len(snapshot.profiles), "profile")]
    if snapshot.tools:
        parts.append(_count(len(snapshot.tools), "logical tool"))
    if warnings:
        parts.append(_count(warnings, "warning"))
    return f"{safe(str(loading.path))} is right: {', '.join(parts)}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
