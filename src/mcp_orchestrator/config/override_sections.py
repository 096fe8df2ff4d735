"""The section `overrides`: what becomes of single tools of servers."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.shape import (
    Duration,
    Field,
    Flag,
    Held,
    ListOf,
    Money,
    Record,
    Size,
    TableOf,
    Text,
)

TOOL: Final = r"[^/.]{1,64}\.\S(.*\S)?"
"""The name of a server's tool in the configuration."""

TOOL_FORM: Final = "SERVER.TOOL, the name of a server and its tool's own name with a point between them"
ARGUMENT_NAME: Final = r".{1,256}"
ARGUMENT_FORM: Final = "the name of an argument"
LABELS: Final = ListOf(Text(r"\S(.*\S)?", "a word"))

ANNOTATIONS: Final = Record(
    (
        Field("title", Text(), "A title for people."),
        Field("readOnlyHint", Flag(), "Whether it changes nothing."),
        Field("destructiveHint", Flag(), "Whether it may destroy something."),
        Field("idempotentHint", Flag(), "Whether repeating it with the same arguments changes nothing more."),
        Field("openWorldHint", Flag(), "Whether it deals with the outside world."),
    )
)
"""Hints of a tool (MCP, tool annotations)."""

ARGUMENT: Final = Record(
    (
        Field("rename", Text(ARGUMENT_NAME, ARGUMENT_FORM), "The name that clients see instead.", None, "target"),
        Field("description", Text(), "What it is for, instead of what the server says."),
        Field("hide", Flag(), "Do not show it, and send nothing for it but `default`.", False),
        Field(
            "const",
            Held("json"),
            "Its value in every call. It is not shown; whatever a client sends is ignored.",
            None,
            "utf-8",
        ),
        Field(
            "default",
            Held("json"),
            "Its value where the caller leaves it out; it need not be given any more.",
            None,
            10,
        ),
    )
)

OVERRIDE: Final = Record(
    (
        Field(
            "name",
            Text(r"[A-Za-z0-9_.-]{1,64}", "a name: 1 to 64 of A-Z a-z 0-9 _ . -"),
            "What it is called instead of its own name: clients see `SERVER__NAME`. Rules and profiles go on naming it by "
            "the server's own name.",
            None,
            "save_file",
        ),
        Field("title", Text(), "A title for people, instead of the server's."),
        Field("description", Text(), "What it does, instead of what the server says.", None, "Writes a text file."),
        Field(
            "hide",
            Flag(),
            "Neither list it nor let clients call it. Providers of `tools` may still use it.",
            False,
        ),
        Field(
            "arguments",
            TableOf(ARGUMENT, ARGUMENT_NAME, ARGUMENT_FORM, "ARGUMENT"),
            "What becomes of its arguments, by the server's own names.",
            None,
            {"encoding": {"const": "utf-8"}, "path": {"rename": "file"}},
        ),
        Field("labels", LABELS, "Words by which rules find it.", None, ["write"]),
        Field(
            "annotations",
            ANNOTATIONS,
            "Hints that go before the server's own. With `readOnlyHint: true` a call may be repeated when nobody knows what "
            "became of it; what a server says of itself never counts for that.",
        ),
        Field(
            "price", Money(), "What a call costs, in dollars. 0 is a price; without one it is not known.", None, 0.005
        ),
        Field("timeout", Duration(0.05), "How long one call may take, instead of the server's `timeout`.", None, "30s"),
        Field(
            "maxResultBytes",
            Size(16),
            "Largest result that is taken of it; a larger one ends the call with an error that says so.",
            None,
            "256KiB",
        ),
        Field(
            "idempotent",
            Flag(),
            "A second call with the same arguments changes nothing more, so that a call may be repeated when nobody knows "
            "what became of it.",
            False,
        ),
    )
)
"""What becomes of one tool."""

OVERRIDES: Final = TableOf(OVERRIDE, TOOL, TOOL_FORM, "TOOL")
