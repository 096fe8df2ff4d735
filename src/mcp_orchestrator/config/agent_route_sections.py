"""The section `routes`: which agents take which delegations, and how their work is verified."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.shape import Choice, Duration, Field, Flag, Held, ListOf, Record, Text, Whole
from mcp_orchestrator.core.agent_routes import VARIABLES
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.agent_routes import Order, Then, Verify

_ID: Final = Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "a name: 1 to 64 of A-Z a-z 0-9 _ . -")
_GLOB: Final = Text(r"\S.*", "a pattern with * and ?")
_verify = Verify()

MATCH: Final = Record(
    (
        Field("labels", ListOf(Text(), alone=True), "Labels that are asked for; all of them.", None, ["review"]),
        Field(
            "task",
            ListOf(Text(r"(?s:.*\S.*)", "a pattern, or a regular expression between slashes"), alone=True),
            "Patterns over the whole task, or regular expressions (RE2) between slashes that are searched for in it.",
            None,
            ["*refactor*", "/(?i)\\bcve-[0-9]+/"],
        ),
        Field(
            "workspace",
            ListOf(_GLOB, alone=True),
            "Patterns over the directory that is named, links resolved. `*` goes over slashes: `/srv/app/*` is the directory "
            "and all below. What an agent hands on of its own copy counts as the directory it was made from.",
            None,
            ["/srv/app/*"],
        ),
        Field("principal", ListOf(_GLOB, alone=True), "Ids of callers.", None, ["local:ada"]),
        Field("group", ListOf(_GLOB, alone=True), "Groups of callers.", None, ["backend"]),
        Field("client", ListOf(_GLOB, alone=True), "Names that clients give themselves.", None, ["cursor*"]),
        Field("mode", Choice(tuple(AgentMode)), "What the agent may do.", None, "write"),
        Field("context", ListOf(_GLOB, alone=True), "Contexts that calls belong to.", None, ["release-*"]),
    )
)

ON: Final = Record(
    (
        Field(
            "quota",
            Choice(tuple(Then)),
            "The agent has no quota left or asked too much just now. It is left out until its reset in any case.",
            str(Then.NEXT),
        ),
        Field("missing", Choice(tuple(Then)), "The agent is not there, or not signed in.", str(Then.NEXT)),
        Field(
            "failed",
            Choice(tuple(Then)),
            "Its model failed, it declined the task, or it said that it is done and had done nothing.",
            str(Then.FAIL),
        ),
    )
)

VERIFY: Final = Record(
    (
        Field(
            "command",
            ListOf(Text()),
            "A command line, without a shell, run in the agent's workspace when the agent says that it is done; exit code 0 "
            "is a pass. It gets the basic variables alone. It runs what the agent wrote, with the gateway's rights.",
            None,
            ["make", "test"],
        ),
        Field("timeout", Duration(0.1, 86400.0), "How long the command may take.", _verify.timeout),
        Field(
            "schema",
            Held("json"),
            "A JSON Schema that the answer must fit. The agent is asked for it, unless the call brings a schema of its own.",
            None,
            {"type": "object", "required": ["summary"]},
        ),
    ),
    needs=("command", "schema"),
)

ROUTE: Final = Record(
    (
        Field("id", _ID, "The name of the route, by which results and the journal call it.", None, "reviews"),
        Field("match", MATCH, "What the route is for; every key that is given must fit. Without it, everything."),
        Field(
            "when",
            Text(),
            f"A condition in CEL over {', '.join(f'`{name}`' for name in VARIABLES)}; `args` are the arguments of "
            "`delegate`. A route whose condition cannot be decided refuses.",
            None,
            "budget.left_usd >= 1.0",
        ),
        Field("to", ListOf(Text()), "Agents, in order of preference.", None, ["claude", "codex"]),
        Field(
            "strategy",
            Choice(tuple(Order)),
            "`order` tries them as they stand, `cheapest` by the mean cost of their last runs (those of which it is not "
            "known come last), `idle` those with the fewest runs first.",
            str(Order.ORDER),
        ),
        Field("on", ON, "What follows when an agent could not begin: `next` or `fail`."),
        Field("verify", VERIFY, "How work is verified."),
        Field(
            "escalate",
            Flag(),
            "Work that was not verified goes to the next agent, in the same workspace, with what the verification said.",
            False,
        ),
        Field(
            "compare",
            Whole(2, 8),
            "As many agents do the task at once, each in a workspace of its own; the first of `to` that is verified is "
            "chosen, without `verify` whoever called chooses.",
            None,
            2,
        ),
    ),
    needs=("id",),
)  # fmt: skip
"""One route."""

ROUTES: Final = ListOf(ROUTE)
