"""The section `tools`: logical tools, each with providers that can do its work."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.override_sections import ANNOTATIONS, ARGUMENT_FORM, ARGUMENT_NAME, LABELS, TOOL, TOOL_FORM
from mcp_orchestrator.config.shape import (
    Choice,
    Duration,
    Field,
    Flag,
    Held,
    ListOf,
    Money,
    Record,
    TableOf,
    Text,
    Whole,
)
from mcp_orchestrator.model.routing import LogicalTool, Strategy

_logical = LogicalTool("", "", {}, ())

RESULT: Final = Record(
    (
        Field(
            "structured",
            Held("structured"),
            "The structured result: fields with CEL expressions, or one expression for the whole object. They may read "
            "`result.structured`, `result.text`, `result.json` (the text, read as JSON) and what `when` reads.",
            None,
            {"titles": "result.structured.hits.map(hit, hit.title)"},
        ),
        Field(
            "text",
            Text(),
            "The text of the result, with CEL expressions in double braces. Without it the text is the structured result as "
            "JSON.",
            None,
            "{{result.structured.total}} hits",
        ),
    ),
    needs=("structured", "text"),
)

PROVIDER: Final = Record(
    (
        Field(
            "tool",
            Text(TOOL, TOOL_FORM),
            "The tool that does the work, as `overrides` leave it.",
            None,
            "brave.web_search",
        ),
        Field(
            "when",
            Text(),
            "A CEL condition; where it is false the provider is not taken. It may read `args` (the caller's arguments), "
            "`principal.id`, `principal.kind`, `principal.groups`, `principal.team`, `client.name`, `client.version`, "
            "`client.era`, `profile` and `context.id`.",
            None,
            "size(args.query) < 400",
        ),
        Field(
            "arguments",
            Held("sources"),
            "The provider's arguments, each a CEL expression over what `when` reads, or `{const: VALUE}`, or "
            "`{from: EXPRESSION, default: VALUE}`. An argument whose expression reads one that the caller left out is left "
            "out. Only these are sent, unless `rename` or `drop` stand beside it. Without `arguments` all of the caller's "
            "pass under their own names.",
            None,
            {"q": "args.query", "count": {"from": "args.limit", "default": 10}, "lang": {"const": "en"}},
        ),
        Field(
            "rename",
            TableOf(Text(ARGUMENT_NAME, ARGUMENT_FORM), ARGUMENT_NAME, ARGUMENT_FORM, "ARGUMENT"),
            "Arguments of the caller that pass under another name: `{query: q}`. All others pass under their own.",
            None,
            {"query": "q"},
        ),
        Field(
            "drop",
            ListOf(Text(ARGUMENT_NAME, ARGUMENT_FORM)),
            "Arguments of the caller that do not pass.",
            None,
            ["limit"],
        ),
        Field("result", RESULT, "How its result becomes that of the tool. Without it the result passes as it is."),
        Field(
            "weight",
            Whole(0, 1_000_000),
            "Its share, for `weighted` and `sticky`; 0 takes part only when all others fail.",
            1,
        ),
        Field("price", Money(), "What a call costs, in dollars; goes before `overrides` and `prices`.", None, 0.005),
        Field(
            "readOnly",
            Flag(),
            "It changes nothing, so that another provider may be tried though nobody knows what became of a call.",
            False,
        ),
        Field("idempotent", Flag(), "Likewise: a second call with the same arguments changes nothing more.", False),
        Field(
            "maxConcurrent",
            Whole(1, 100_000),
            "How many calls it takes at once; more go to the next provider.",
            None,
            4,
        ),
        Field(
            "timeout",
            Duration(0.05),
            "How long one try may take. Default: that of the tool or its server.",
            None,
            "10s",
        ),
    ),
    needs=("tool",),
)

LOGICAL: Final = Record(
    (
        Field("title", Text(), "A title for people."),
        Field("description", Text(), "What it does, for the model that calls it.", None, "Search the web."),
        Field(
            "inputSchema",
            Held("json"),
            "The JSON Schema of its arguments.",
            None,
            {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        ),
        Field(
            "outputSchema",
            Held("json"),
            "The JSON Schema of its structured result. Results are checked against it; JSON in the text of a provider's "
            "result stands in for structured content that is not there.",
        ),
        Field("annotations", ANNOTATIONS, "Hints for clients."),
        Field("labels", LABELS, "Words by which rules find it.", None, ["search"]),
        Field(
            "strategy",
            Choice(tuple(Strategy)),
            "Who takes a call: the first that can (`failover`), by shares (`weighted`), the least dear (`cheapest`; a price "
            "that is not known comes last), the one that answered fastest so far (`fastest`), or the one that served the "
            "same caller before (`sticky`).",
            str(_logical.strategy),
        ),
        Field(
            "by",
            Text(r"caller|context|call|args\.[A-Za-z_][A-Za-z0-9_]*", "caller, context, call or args.NAME"),
            "What a choice of `weighted` and `sticky` is stable for: the caller, the context (else the caller), the value of "
            "an argument, or nothing (`call`).",
            _logical.by,
        ),
        Field("providers", ListOf(PROVIDER), "Who can do it, the first one first."),
        Field("timeout", Duration(0.05), "How long all tries together may take.", _logical.timeout, "30s"),
        Field(
            "eject",
            Record(
                (
                    Field("failures", Whole(1, 1_000_000), "After how many failures in a row.", _logical.eject_after),
                    Field(
                        "for",
                        Duration(0.01),
                        "For how long; doubled, up to eight times, while the call that then tries it fails too.",
                        _logical.eject_for,
                    ),
                )
            ),
            "When a provider that fails is left out. After that time one call at a time tries it.",
        ),
        Field(
            "onToolError",
            Choice(("answer", "next")),
            "What a tool's own error (`isError`) is: an `answer` for the caller, or a reason to try the `next` provider, "
            "where the configuration says that calls of this one may be repeated.",
            "answer",
        ),
    ),
    needs=("providers",),
)
"""One logical tool."""

NAME: Final = r"(?!.*__)[A-Za-z0-9_-]{1,64}"
NAME_FORM: Final = "a tool name: 1 to 64 of A-Z a-z 0-9 _ - without two underscores in a row"

LOGICAL_TOOLS: Final = TableOf(LOGICAL, NAME, NAME_FORM, "TOOL")
