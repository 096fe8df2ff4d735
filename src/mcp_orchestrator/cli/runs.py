"""`runs`: lists and shows runs from the journal, with or without a running gateway."""

from __future__ import annotations

import datetime as dt
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli.exits import Ended, Exit, bad_usage
from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Printer, Style, safe_json, safe_line
from mcp_orchestrator.cli.reasons import reason_lines

if TYPE_CHECKING:
    from mcp_orchestrator.storage.reading import JournalReader, RunRow, StoredEvent

STATUSES = ("running", "completed", "failed", "cancelled", "refused", "lost")


@click.group("runs")
@config_before
@format_option
def command() -> None:
    """List and show runs from the journal."""


@command.command("list")
@config_option
@format_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@click.option("--before", type=int, metavar="SEQ", help="Only runs before this number: the next page.")
@click.option("--backend", metavar="NAME", help="Only runs on this backend.")
@click.option("--tool", metavar="NAME", help="Only runs of this tool; * and ? as in file names.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
def list_(config: Path | None, limit: int, before: int | None, **only: str | None) -> None:
    """List runs, the newest first."""
    out = printer()
    with _journal(config, out) as journal:
        found = journal.runs(limit, before, **only)
    rows = [_row(run) for run in found]
    headings = ["RUN", "STARTED", "STATUS", "MS", "BACKEND", "CALL", "WHY"]
    out.result({"runs": [as_json(run) for run in found]}, out.table(headings, rows) if rows else "")
    if not found:
        out.note("The journal has no such run.")


@command.command("show")
@config_option
@format_option
@click.argument("run")
def show(config: Path | None, run: str) -> None:
    """Show one run: what was asked, why it went where it went, how it ended."""
    out = printer()
    with _journal(config, out) as journal:
        events = journal.run(run)
    if not events:
        bad_usage(f"the journal has no run '{run}'", "mcp-orchestrator runs list shows the newest ones")
    out.result({"run": run, "events": [_event(event) for event in events]}, _described(run, events, out))


def _journal(config: Path | None, out: Printer) -> JournalReader:
    from mcp_orchestrator.storage.reading import JournalReader  # noqa: PLC0415 - not needed for help
    from mcp_orchestrator.storage.trouble import StorageError  # noqa: PLC0415 - likewise

    path = require(config, out).snapshot.storage.path
    try:
        return JournalReader(path)
    except StorageError as error:
        if error.errno != errno.ENOENT:
            raise Ended(Exit.USAGE, str(error)) from error
        raise Ended(Exit.UNREACHABLE, str(error), fix="mcp-orchestrator serve writes the journal") from error


def as_json(run: RunRow) -> dict[str, Any]:
    """One run of a list as plain JSON; times are ISO 8601 in UTC."""
    return {
        "seq": run.seq,
        "run": run.id,
        "status": run.status,
        "started": moment(run.started_at),
        "ended": None if run.ended_at is None else moment(run.ended_at),
        "call": dict(run.started),
        "end": None if run.ended is None else dict(run.ended),
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {"seq": event.seq, "at": moment(event.at), "kind": event.kind, "data": dict(event.data)}


def moment(at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _row(run: RunRow) -> list[str]:
    ended = run.ended or {}
    return [
        run.id,
        _local(run.started_at),
        run.status,
        str(ended.get("ms", "-")),
        str(run.started.get("backend") or "-"),
        str(run.started.get("name") or run.started.get("method") or "-"),
        str(ended.get("text") or run.started.get("text") or ""),
    ]


def _described(run: str, events: Sequence[StoredEvent], out: Printer) -> str:
    parts = [out.paint(safe_line(run), Style.STRONG)]
    for event in events:
        head = f"{_local(event.at)}  {safe_line(event.kind)}"
        data = {key: value for key, value in event.data.items() if key != "reasons"}
        lines = [f"  {safe_line(key):<10} {_value(value)}" for key, value in data.items() if value not in (None, "")]
        reasons = event.data.get("reasons")
        if isinstance(reasons, list) and reasons:
            lines.append("  because")
            lines += [f"    {line}" for line in reason_lines(reasons)]
        parts.append("\n".join([head, *lines]))
    return "\n\n".join(parts)


def _value(value: Any) -> str:
    return safe_line(value) if isinstance(value, str) else safe_line(safe_json(value).replace("\n", " "))
