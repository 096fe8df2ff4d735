"""The part of the format that says what a rule or budget is about: patterns over what is called and over who calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.config.document import Table
from mcp_orchestrator.config.shape import Field, Held, ListOf, Record, Text
from mcp_orchestrator.model.rules import Match

_PATTERN: Final = Text(r"\S.*", "a pattern, such as files.* or local:*")

KINDS: Final = (
    "tool",
    "resource",
    "prompt",
    "completion",
    "subscription",
    "task",
    "extension",
    "delegation",
    "sampling",
    "elicitation",
)

MATCH: Final = Record(
    (
        Field(
            "tool",
            ListOf(_PATTERN, alone=True),
            "`SERVER.TOOL`, the name of a logical tool, or the URI of a resource.",
            None,
            ["files.*"],
        ),
        Field("server", ListOf(_PATTERN, alone=True), "Names of servers.", None, ["files"]),
        Field("agent", ListOf(_PATTERN, alone=True), "Names of agents that work is delegated to.", None, ["claude"]),
        Field("principal", ListOf(_PATTERN, alone=True), "Ids of callers.", None, ["local:ada", "token:ci-*"]),
        Field("group", ListOf(_PATTERN, alone=True), "Groups of callers.", None, ["interns"]),
        Field(
            "client",
            ListOf(_PATTERN, alone=True),
            "Names that clients give themselves: a hint, not a proof.",
            None,
            ["cursor*"],
        ),
        Field("profile", ListOf(_PATTERN, alone=True), "Profiles that clients came by.", None, ["reader"]),
        Field(
            "kind",
            ListOf(Text("|".join(KINDS), f"one of {', '.join(KINDS)}"), alone=True),
            f"What is wanted: {', '.join(f'`{kind}`' for kind in KINDS)}.",
            None,
            ["delegation"],
        ),
        Field(
            "labels",
            ListOf(Text(), alone=True),
            "Labels of a tool or an agent; all of them must be there.",
            None,
            ["write"],
        ),
        Field(
            "annotations",
            Held("options"),
            "Annotations of a tool, each with this value.",
            None,
            {"readOnlyHint": False},
        ),
    )
)
"""Every key that is given must fit; within a key one pattern is enough. A single text stands for a list of one."""


def match_of(values: Mapping[str, Any]) -> Match:
    """A checked `match:` as the engine reads it."""
    known = {name: tuple(value) for name, value in values.items() if name != "annotations"}
    annotations = values.get("annotations")
    plain = {}
    if isinstance(annotations, Table):
        plain = {entry.key: getattr(entry.value, "value", None) for entry in annotations.entries.values()}
    return Match(**known, annotations=plain)
