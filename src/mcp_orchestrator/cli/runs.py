"""`runs`: lists and shows runs from the journal, with or without a gateway; answers and cancels in the running one."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import run_watch
from mcp_orchestrator.cli.arguments import read
from mcp_orchestrator.cli.exits import bad_usage
from mcp_orchestrator.cli.journal import opened_journal
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Printer, Style, safe_json, safe_line
from mcp_orchestrator.cli.reach import act_on_running, is_running
from mcp_orchestrator.cli.reasons import reason_lines
from mcp_orchestrator.core.answers import gist
from mcp_orchestrator.model.conversation import ACTIONS, Question
from mcp_orchestrator.model.event import EventKind

if TYPE_CHECKING:
    from mcp_orchestrator.storage.reading import RunRow, StoredEvent

STATUSES = ("running", "waiting", "completed", "failed", "cancelled", "refused", "limit", "unknown", "lost")


@click.group("runs")
@config_before
@format_option
def command() -> None:
    """List and show runs from the journal; answer what they ask; cancel them."""


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
    with opened_journal(require(config, out)) as journal:
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
    """Show one run: what was asked, why it went where it went, how it ended, and what it asks now."""
    out = printer()
    configuration = require(config, out)
    with opened_journal(configuration) as journal:
        events = journal.run(run)
    if not events:
        bad_usage(f"the journal has no run '{run}'", "mcp-orchestrator runs list shows the newest ones")
    asked = [] if _over(events) else _open_questions(configuration, run)
    found = {"run": run, "events": [_event(event) for event in events], "questions": asked}
    out.result(found, "\n\n".join([_described(run, events, out), *(_question(one, out) for one in asked)]))


@command.command("watch")
@config_option
@format_option
@click.argument("run")
def watch(config: Path | None, run: str) -> None:
    """Watch one run: its events as they come, until it is over. With --format json, one event a line."""
    out = printer()

    def tell(event: StoredEvent) -> None:
        if out.json:
            out.line(json.dumps(_event(event), default=str))  # ASCII only: nothing in it can harm a terminal
        else:
            out.line(run_watch.line(event, _local(event.at), out))

    with opened_journal(require(config, out)) as journal:
        if not journal.run(run, limit=1):
            bad_usage(f"the journal has no run '{run}'", "mcp-orchestrator runs list shows the newest ones")
        run_watch.follow(journal, run, tell)


@command.command("answer")
@config_option
@format_option
@click.argument("run")
@click.argument("question")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--option", metavar="ID", help="The choice, where the question is a choice of one.")
@click.option(
    "--json", "fields", metavar="OBJECT", help="The fields of a form, a model's answer, or roots: JSON, @FILE, or -."
)
def answer(
    *, config: Path | None, run: str, question: str, action: str, option: str | None, fields: str | None
) -> None:
    """Answer a question that waits for you (`questions.mouths` has cli): runs show RUN shows it.

    A form takes its fields, and those that are left out get its defaults. A request for a model's answer (sampling) takes
    a result such as {"content": {"type": "text", "text": "..."}}, one for directories {"roots": [{"uri": "file:///..."}]}.
    The first answer wins.
    """
    out = printer()
    content = None if fields is None else read((), fields, {})
    request = {"run": run, "question": question, "action": action, "content": content, "option": option}
    found = act_on_running(require(config, out), lambda actor: actor.ask("runs.answer", request))
    out.result(found, f"Answered {safe_line(question)} of run {safe_line(run)}: {action}")


@command.command("cancel")
@config_option
@format_option
@click.argument("run")
def cancel(config: Path | None, run: str) -> None:
    """Cancel a run that is going on: its server is told, and whoever called gets an error."""
    out = printer()
    found = act_on_running(require(config, out), lambda actor: actor.ask("runs.cancel", {"run": run}))
    out.result(found, f"Run {safe_line(run)}: {safe_line(str(found.get('status')))}")


def _over(events: Sequence[StoredEvent]) -> bool:
    """Whether nothing more will come; a delegation goes on beyond the call that began it."""
    kinds = {event.kind for event in events}
    if EventKind.DELEGATION_ACCEPTED in kinds:
        return EventKind.DELEGATION_ENDED in kinds
    return bool(kinds & {EventKind.RUN_ENDED, EventKind.CALL_REFUSED})


def _open_questions(configuration: Configuration, run: str) -> list[dict[str, Any]]:
    """What the run asks the command line now; [] when its gateway is not running."""
    if not is_running(configuration):
        return []
    found: list[dict[str, Any]] = act_on_running(configuration, lambda actor: actor.ask("runs.questions", {"run": run}))
    return [{**one, "asked_at": moment(one["asked_at"]), "expires_at": moment(one["expires_at"])} for one in found]


def _question(one: Mapping[str, Any], out: Printer) -> str:
    """An open question for a person, and how to answer it."""
    question = Question(str(one.get("method")), dict(one.get("params") or {}))
    key, run = safe_line(str(one["question"])), safe_line(str(one["run"]))
    lines = [out.paint(f"{key}  {safe_line(gist(question))}", Style.STRONG)]
    match question.method:
        case "sampling/createMessage":
            lines += _prompt(question.params)
            example = """ --json '{"content": {"type": "text", "text": "..."}}'"""
        case "roots/list":
            example = """ --json '{"roots": [{"uri": "file:///..."}]}'"""
        case _:
            lines += _form(question.params)
            example = ""
    lines.append(f"  expires    {safe_line(str(one['expires_at']))}")
    command = f"mcp-orchestrator runs answer {run} {key}"
    if example:
        lines += [f"  answer     {command} accept{example}", f"  or         {command} decline|cancel"]
    else:
        lines.append(f"  answer     {command} accept|decline|cancel")
    return "\n".join(lines)


def _form(params: Mapping[str, Any]) -> list[str]:
    """The lines of an elicitation: the address, or the fields of the form."""
    lines = [f"  address    {safe_line(str(params.get('url', '')))}"] if params.get("mode") == "url" else []
    schema = params.get("requestedSchema")
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    for name, field in fields.items() if isinstance(fields, Mapping) else ():
        needed = " (required)" if isinstance(required, list) and name in required else ""
        lines.append(f"  {safe_line(str(name)):<10} {_value(field)}{needed}")
    return lines


def _prompt(params: Mapping[str, Any]) -> list[str]:
    """The lines of a sampling request: everything that the server sends to the model."""
    messages = params.get("messages")
    rest = {name: value for name, value in params.items() if name not in {"messages", "_meta"}}
    lines = [f"  {safe_line(name):<10} {_value(value)}" for name, value in rest.items()]
    for message in messages if isinstance(messages, list) else ():
        said = message if isinstance(message, Mapping) else {"content": message}
        content = said.get("content")
        plain = isinstance(content, Mapping) and content.get("type") == "text"
        text = content.get("text") if plain and isinstance(content, Mapping) else content
        lines.append(f"  {safe_line(str(said.get('role', ''))):<10} {_value(text)}")
    return lines


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
