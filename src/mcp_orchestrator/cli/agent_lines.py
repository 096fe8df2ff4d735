"""How agents are shown: one row for each, and one at length."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_line

HEADINGS = ["AGENT", "KIND", "FOUND", "VERSION", "SIGNED IN", "MODE", "LABELS", "WORKING", "NOTES"]


def row(line: Mapping[str, Any]) -> list[str]:
    """One agent as a row of a table."""
    facts = line.get("facts") or {}
    notes = [*_bench(line), *(facts.get("notes") or [])]
    return [
        str(line["name"]),
        str(line["kind"]),
        _word(facts.get("found")),
        version(facts),
        _word(facts.get("signed_in")),
        str(line["mode"]),
        ", ".join(line.get("labels") or []) or "-",
        str(line.get("working", 0)),
        str(notes[0]) if notes else "-",
    ]


def version(facts: Mapping[str, Any]) -> str:
    """Its version, beside the one with which the adapter was last tried where that differs."""
    own, verified = facts.get("version"), facts.get("verified")
    if own is None:
        return "-"
    return str(own) if verified in (None, own) else f"{own} (tried with {verified})"


def described(line: Mapping[str, Any], out: Printer) -> str:
    """One agent at length."""
    facts = line.get("facts") or {}
    start = facts.get("start")
    can: Mapping[str, Any] = facts.get("can") or {}
    shown = {
        "kind": line["kind"],
        "found": _word(facts.get("found")),
        "program": facts.get("command") or "-",
        "version": version(facts),
        "signed in": _word(facts.get("signed_in")),
        "mode": f"{line['mode']} (the most that a delegation may ask for)",
        "labels": ", ".join(line.get("labels") or []) or "none",
        "own modes": _list(facts.get("modes")),
        "models": _list(facts.get("models")),
        "can": ", ".join(name for name, able in can.items() if able) or "nothing that is known",
        "cannot": ", ".join(name for name, able in can.items() if not able) or "-",
        "start": f"{start:.1f} s" if isinstance(start, int | float) else "not measured",
        "working": line.get("working", 0),
        "defined in": line.get("where") or "",
    }
    parts = [out.paint(safe_line(str(line["name"])), Style.STRONG)]
    parts.append("\n".join(f"{key:<12} {safe_line(str(value))}" for key, value in shown.items()))
    notes = [*_bench(line), *(facts.get("notes") or [])]
    if notes:
        parts.append("\n".join(f"- {safe(str(note))}" for note in notes))
    return "\n\n".join(parts)


def _bench(line: Mapping[str, Any]) -> list[str]:
    benched = line.get("benched")
    if not benched:
        return []
    until = dt.datetime.fromtimestamp(benched["until"], dt.UTC).astimezone()
    return [f"left out until {until:%Y-%m-%d %H:%M:%S}: {benched['why']}"]


def _word(value: object) -> str:
    return "not known" if value is None else "yes" if value else "no"


def _list(values: Sequence[object] | None) -> str:
    return ", ".join(str(value) for value in values or ()) or "not known"
