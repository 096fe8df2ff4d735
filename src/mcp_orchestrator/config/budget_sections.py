"""The part of the format that says what may be spent, and what things cost."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.match_sections import MATCH
from mcp_orchestrator.config.policy_sections import APPROVER
from mcp_orchestrator.config.shape import Choice, Duration, Field, Held, ListOf, Money, Record, TableOf, Text, Whole
from mcp_orchestrator.model.budget import OnExceeded

PER: Final = ("caller", "group", "team", "tool", "server", "agent", "context", "run")
CALENDAR: Final = ("hour", "day", "week", "month", "total")

_LIMIT = Record(
    (
        Field("usd", Money(0.0001, 999_999), "US dollars.", None, 200),
        Field("tokens", Whole(1), "Tokens of agents and of sampling, read and written together.", None, 1_000_000),
        Field("calls", Whole(1), "Calls and delegations.", None, 1000),
        Field("seconds", Duration(0.001), "Time that calls and delegations take, added up.", None, "10h"),
    ),
    needs=("usd", "tokens", "calls", "seconds"),
)

_ESTIMATE = Record(
    (
        Field("tokens", Whole(1), "Tokens of a delegation. Default: 10000.", None, 50_000),
        Field(
            "seconds",
            Duration(0.001),
            "How long a call takes. Default: 10 s, of a delegation its time limit.",
            None,
            "30s",
        ),
    )
)

_RAISE = Record(
    (
        Field("percent", Whole(1, 1000), "By how much of the limit, and at least by what the call lacks.", 25),
        Field("for", Duration(1), "For how long.", 3600.0),
    )
)

BUDGET: Final = Record(
    (
        Field(
            "id", Text(r"[A-Za-z0-9_.-]{1,64}", "a name: 1 to 64 of A-Z a-z 0-9 _ . -"), "Its name.", None, "team-month"
        ),
        Field("match", MATCH, "What counts against it. Absent: everything."),
        Field(
            "per",
            ListOf(Text("|".join(PER), f"one of {', '.join(PER)}"), alone=True),
            f"For what it is counted apart: {', '.join(f'`{word}`' for word in PER)}. Absent: one for all together. Whatever "
            "an agent does counts for the caller on whose behalf it works, and `run` for every run above it.",
            None,
            ["team"],
        ),
        Field("limit", _LIMIT, "How much, in one or several units."),
        Field(
            "window",
            Text(
                r"hour|day|week|month|total|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+",
                f"one of {', '.join(CALENDAR)}, or a duration such as 15m",
            ),
            "In which stretches of time: by the calendar (`hour`, `day`, `week` from Monday, `month`), once and for all "
            "(`total`), or one stretch of this length after the other.",
            "month",
        ),
        Field("timeZone", Text(), "The time zone of the calendar.", "UTC", "Europe/Berlin"),
        Field(
            "softPercent", Whole(1, 100), "At how much of the limit it is warned, in the log and in the journal.", 80
        ),
        Field(
            "onExceeded",
            Choice(tuple(OnExceeded)),
            "What becomes of a call that there is not enough left for: `refuse`; `ask` the approvers to raise the limit "
            "for a while; `reroute` to the next provider or agent that can still be paid, and refuse if there is none.",
            str(OnExceeded.REFUSE),
        ),
        Field(
            "approvers",
            ListOf(APPROVER, alone=True),
            "Who may raise it: `operator`, principals, `group:NAME`.",
            ["operator"],
        ),
        Field("raise", _RAISE, "By how much and for how long an approval raises the limit."),
        Field(
            "unknownPrice",
            Held("unpriced"),
            "What becomes of a call, for a limit in `usd`, of which nobody knows what it costs: it is refused (`deny`), it "
            "counts as so many dollars (`{flat: 0.01}`), or so many of them are allowed in a window (`{unmeasured: 100}`).",
            "deny",
            {"flat": 0.01},
        ),
        Field("estimate", _ESTIMATE, "What is held until it is known what was used."),
    ),
    needs=("limit",),
)

_MODEL = Record(
    (
        Field("input", Money(), "A million tokens that the model reads.", None, 3),
        Field("output", Money(), "A million tokens that it writes.", None, 15),
        Field("cachedInput", Money(), "A million tokens that it reads from its cache. Default: as `input`.", None, 0.3),
        Field("cacheWrite", Money(), "A million tokens that go into its cache. Default: as `input`.", None, 3.75),
    ),
    needs=("input",),
)

PRICES: Final = Record(
    (
        Field(
            "tools",
            TableOf(Money(), r"\S.*", "a pattern over SERVER.TOOL", "PATTERN"),
            "What a call costs, in dollars, by patterns over `SERVER.TOOL` (of resources and prompts likewise). The first "
            "that fits counts; `overrides.TOOL.price` and the `price` of a provider come before. 0 is a price.",
            None,
            {"search.*": 0.005, "files.*": 0},
        ),
        Field(
            "models",
            TableOf(_MODEL, r"\S.*", "the name of a model, or a pattern over names", "MODEL"),
            "What models cost, in dollars for a million tokens. Others are looked up in the table of `genai-prices`. They "
            "are used where an agent tells tokens but no money.",
            None,
            {"my-model": {"input": 3, "output": 15}},
        ),
    )
)
