"""`audit`: proves that the journal is whole, and hands its events on to other programs."""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from mcp_orchestrator.cli.exits import Ended, Exit, bad_usage
from mcp_orchestrator.cli.journal import opened_journal
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Style, safe_line
from mcp_orchestrator.config.units import parse_duration
from mcp_orchestrator.model.event import EventKind

if TYPE_CHECKING:
    from mcp_orchestrator.storage.chain import Verdict
    from mcp_orchestrator.storage.reading import JournalReader, StoredEvent

SCHEMA: Final = "mcp-orchestrator.audit/1"
"""What each exported line says of its own format: the number grows when a field goes or changes its meaning."""

_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@click.group("audit")
@config_before
@format_option
def command() -> None:
    """Prove that the journal is whole; export its events."""


@command.command("verify")
@config_option
@format_option
@click.option(
    "--head",
    metavar="SEQ:HASH",
    help="Also look whether this row, which an earlier verification has printed, is there still: proves that nobody "
    "has cut off the end or made the chain anew.",
)
def verify(config: Path | None, head: str | None) -> int:
    """Walk the chain of the journal from its beginning to its end and recompute every hash.

    A row that was changed, put in or taken out is named. Exit code 0: the journal is whole; 5: it is not. Works beside a
    running gateway.
    """
    from mcp_orchestrator.storage.chain import GENESIS  # noqa: PLC0415 - not needed for help

    out = printer()
    expected = None if head is None else _read_head(head)
    with opened_journal(require(config, out)) as journal:
        verdict, anchor = journal.verify(), journal.anchor()
        trouble = "" if verdict.fault else _compared(journal, expected, verdict)
    fault = verdict.fault
    text = fault.text if fault is not None else trouble
    begins = None if anchor.hash == GENESIS else {"seq": anchor.seq, "hash": anchor.hash.hex()}
    found = {
        "whole": not text,
        "rows": verdict.rows,
        "begins_after": begins,
        "head": f"{verdict.end.seq}:{verdict.end.hash.hex()}",
        "fault": {"seq": fault.seq if fault is not None else expected[0] if expected else None, "text": text}
        if text
        else None,
    }
    if text:
        out.result(found, "")
        ended = f"the journal is not whole: {text}"
        raise Ended(Exit.TOOL_FAILED, ended, fix="compare it with a copy; nothing in it was changed by this command")
    after = f" after row {anchor.seq}, where older ones were removed" if begins else ""
    lines = [out.paint(f"The journal is whole: {verdict.rows} rows{after}.", Style.GOOD), f"head  {found['head']}"]
    out.result(found, "\n".join(lines))
    return Exit.DONE


def _read_head(head: str) -> tuple[int, str]:
    match = _HEAD.fullmatch(head)
    if match is None:
        bad_usage(f"--head '{head}' is not SEQ:HASH", "audit verify prints it")
    return int(match[1]), match[2]


def _compared(journal: JournalReader, expected: tuple[int, str] | None, verdict: Verdict) -> str:
    """What is wrong with a row that is to be there; "" when nothing is."""
    if expected is None or expected == (0, "0" * 64):
        return ""
    seq, digest = expected
    found = journal.hash_of(seq)
    if found is None and seq > verdict.end.seq:
        return f"row {seq} is missing: the journal ends with row {verdict.end.seq}"
    if found is None:
        raise Ended(Exit.USAGE, f"row {seq} was removed with older ones, so nothing can be said about it")
    return "" if found.hex() == digest else f"row {seq} is another one: the chain was made anew"


@command.command("export")
@config_option
@format_option
@click.option(
    "--out", "target", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Into this file."
)
@click.option("--since", metavar="WHEN", help="From then on: 2026-11-24, 2026-11-24T12:00:00Z, or 24h (ago).")
@click.option("--until", metavar="WHEN", help="Before then.")
@click.option("--run", metavar="RUN", help="Only events of this run.")
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", help="Only this kind, or a pattern (run.*); repeatable."
)
@click.option("--cloudevents", is_flag=True, help="As CloudEvents 1.0 (JSON), one a line.")
def export(
    *,
    config: Path | None,
    target: Path | None,
    since: str | None,
    until: str | None,
    run: str | None,
    kinds: tuple[str, ...],
    cloudevents: bool,
) -> int:
    """Write events as JSON lines, the oldest first, to standard output or into a file.

    Secrets of the configuration, and what looks like a secret, are taken out. A file is replaced as a whole when all is
    written; only you can read it.
    """
    out = printer()
    configuration = require(config, out)
    now = time.time()
    first, last = _moment(since, "--since", now), _moment(until, "--until", now)
    chosen = _kinds(kinds)
    shape = _cloud_event if cloudevents else _line
    with opened_journal(configuration) as journal:
        clean = _cleaner(configuration)
        events = journal.walk(run=run, kinds=chosen, since=first, until=last)
        lines = (json.dumps(shape(event, digest.hex(), clean(event.data))) for event, digest in events)
        if target is None:
            for line in lines:
                out.line(line)  # ASCII only: nothing in it can harm a terminal
            return Exit.DONE
        count = _written(lines, target)
    told = {"exported": count, "file": str(target), "schema": "cloudevents/1.0" if cloudevents else SCHEMA}
    out.result(told, f"{count} events written to {safe_line(str(target))}")
    return Exit.DONE


def _written(lines: Iterator[str], target: Path) -> int:
    """Write lines into a file beside the target that takes its place at the end; returns how many."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    count = 0
    try:
        with ExitStack() as undo:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            undo.callback(unfinished.unlink, missing_ok=True)
            file: TextIO
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                for line in lines:
                    file.write(line + "\n")
                    count += 1
            unfinished.replace(target)
            undo.pop_all()
    except OSError as error:
        raise Ended(Exit.UNEXPECTED, f"{target} cannot be written: {error.strerror}") from error
    return count


def _moment(text: str | None, option: str, now: float) -> float | None:
    """A point in time in seconds since the epoch, from ISO 8601 (without a zone: local time) or a length of time ago."""
    if text is None:
        return None
    ago = parse_duration(text)
    if ago is not None:
        return now - ago
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        bad_usage(f"{option} '{text}' is no time", "write 2026-11-24, 2026-11-24T12:00:00Z, or 24h for a day ago")


def _kinds(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that the patterns fit; a word without `*` and `?` is taken as it is, for it may be a newer version's."""
    chosen: list[str] = []
    for pattern in patterns:
        wild = any(sign in pattern for sign in "*?[")
        fitting = [kind.value for kind in EventKind if fnmatch.fnmatchcase(kind.value, pattern)]
        if not fitting and wild:
            bad_usage(f"no kind of event fits '{pattern}'", "docs/reference/events.md names them all")
        chosen += fitting or [pattern]
    return tuple(dict.fromkeys(chosen))


def _cleaner(configuration: Configuration) -> Any:
    """A function that takes secrets out of the data of an event."""
    from mcp_orchestrator.core.effects import Redactor  # noqa: PLC0415 - not needed for help
    from mcp_orchestrator.core.redaction import words_redactor  # noqa: PLC0415 - likewise
    from mcp_orchestrator.model.rules import Redaction  # noqa: PLC0415 - likewise

    snapshot = configuration.snapshot
    known = [secret for backend in snapshot.backends.values() for secret in backend.confidential]
    known += [secret for agent in snapshot.agents.values() for secret in agent.confidential]
    words = words_redactor(known)
    patterns = Redactor((Redaction(patterns=("secret:*",)),))

    def texts(value: Any) -> Any:
        if isinstance(value, str):
            return patterns.text(words(value))
        if isinstance(value, dict):
            return {patterns.text(words(key)): texts(one) for key, one in value.items()}
        return [texts(one) for one in value] if isinstance(value, list) else value

    return texts


def _time(at: float) -> str:
    try:
        return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00.000000Z"


def _line(event: StoredEvent, digest: str, data: Any) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "seq": event.seq,
        "at": _time(event.at),
        "kind": event.kind,
        "run": event.run,
        "data": data,
        "hash": digest,
    }


def _cloud_event(event: StoredEvent, digest: str, data: Any) -> dict[str, Any]:
    """CloudEvents 1.0.2 in its JSON format; `sequence` is the extension of that name."""
    subject = {} if event.run is None else {"subject": event.run}
    return {
        "specversion": "1.0",
        "id": digest,
        "source": "mcp-orchestrator/journal",
        "type": f"mcp-orchestrator.{event.kind}",
        "time": _time(event.at),
        **subject,
        "sequence": f"{event.seq:020d}",
        "datacontenttype": "application/json",
        "dataschema": f"urn:{SCHEMA.replace('/', ':')}",
        "data": data,
    }
