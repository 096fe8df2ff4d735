"""The section `policies`: who may call what, with which arguments, after whose word, and what is taken out."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.match_sections import MATCH
from mcp_orchestrator.config.shape import Choice, Duration, Field, Held, ListOf, Record, Text, Whole
from mcp_orchestrator.core.effects import PATTERNS
from mcp_orchestrator.model.rules import Effect, Phase, Scope

PER: Final = ("principal", "group", "client", "tool", "server", "agent", "context")
"""What a rate may be counted apart for."""

_ID: Final = Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "a name: 1 to 64 of A-Z a-z 0-9 _ . -")
APPROVER: Final = Text(
    r"operator|anonymous|group:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|[a-z]+:\S(.*\S)?",
    'operator (the command line), "group:NAME", or the id of a caller ("local:ada", "token:ci", "anonymous")',
)
_FIELD: Final = Text(
    r"[^.\s]+(\.[^.\s]+)*", "a path of keys with points between them, such as user.password or **.token"
)

RATE: Final = Record(
    (
        Field("count", Whole(1, 10**9), "How many calls there may be.", None, 60),
        Field("every", Duration(0.001), "In how much time.", 60.0),
        Field("burst", Whole(1, 10**9), "How many of them may come at once. Without it, `count`.", None, 10),
        Field(
            "per",
            ListOf(Text("|".join(PER), f"one of {', '.join(PER)}")),
            "What is counted apart: a caller, a group (each one that the caller is in), a client by its own name, a tool, a "
            "server, an agent, a context. An empty list counts everything together.",
            ["principal"],
        ),
    ),
    needs=("count",),
)

REDACT: Final = Record(
    (
        Field(
            "patterns",
            ListOf(Text(r"\S+", "the name of a pattern, or several of them with *")),
            f"Named patterns: {', '.join(f'`{name}`' for name in PATTERNS)}; `secret:*` stands for all secrets.",
            None,
            ["email", "secret:*"],
        ),
        Field("expressions", ListOf(Text()), "Regular expressions (RE2) of your own.", None, ["ACME-[0-9]{6}"]),
        Field(
            "fields",
            ListOf(_FIELD),
            "Values that are taken out as a whole, by path in the arguments or in structured results (and in texts that are "
            "JSON): `*` is any key, `**` any number of keys, lists are seen through. What stood there is taken out of the "
            "other texts of the same result as well.",
            None,
            ["user.password", "**.token"],
        ),
    ),
    needs=("patterns", "expressions", "fields"),
)

RULE: Final = Record(
    (
        Field("id", _ID, "The name of the rule, by which refusals and the journal call it.", None, "no-main"),
        Field("match", MATCH, "What and whom the rule is about; without it, everything and everybody."),
        Field(
            "when",
            Text(),
            "A condition in CEL. The guide on policies lists its variables. What cannot be decided (a key that is not "
            "there, another type) denies: ask `has(args.path)` first.",
            None,
            'args.branch in ["main"]',
        ),
        Field(
            "phases",
            ListOf(Text("|".join(Phase), f"one of {', '.join(Phase)}")),
            "When the rule is asked: `list` hides and denies, `call` judges a call, `result` what comes back. Each has "
            "variables of its own.",
            ["call"],
        ),
        Field(
            "effect",
            Choice(tuple(Effect)),
            "All rules that apply count: `deny` before `ask` before `limit` before `allow`; `redact` and `rewrite` add up.",
            None,
            "deny",
        ),
        Field("reason", Text(), "Why, for whoever meets the rule.", None, "main is protected"),
        Field(
            "approvers",
            ListOf(APPROVER),
            "Of `ask`: who may agree. `operator` is the command line. Whoever calls is asked only if named here.",
            ["operator"],
        ),
        Field(
            "remember",
            Choice(tuple(Scope)),
            "Of `ask`: for what an agreement holds: this call alone, or the same call again within the run or the context.",
            str(Scope.ONCE),
        ),
        Field("expires", Duration(1), "Of `ask`: after how long without an answer it counts as denied. Default: `questions.expire`."),
        Field("limit", RATE, "Of `limit`: how often."),
        Field("redact", REDACT, "Of `redact`: what is taken out."),
        Field(
            "rewrite",
            Held("rewrites"),
            "Of `rewrite`: arguments with what they become: a CEL expression, or `{const: VALUE}`.",
            None,
            {"branch": '"review/" + args.branch', "draft": {"const": True}},
        ),
    ),
    needs=("id",),
)  # fmt: skip
"""One rule."""

POLICIES: Final = ListOf(RULE)
