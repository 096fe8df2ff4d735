"""The section `identity`: who callers are, and who belongs together."""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.config.shape import Field, Flag, ListOf, Record, TableOf, Text
from mcp_orchestrator.model.snapshot import IdentitySpec

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Names of groups, teams and tokens."""

NAME_FORM: Final = "a name: 1 to 64 of A-Z a-z 0-9 _ . - that begins with a letter or digit"
GROUP: Final = "group:"
"""How a team names a group."""

_ID: Final = r"anonymous|\*|[a-z]+:\S(.*\S)?"
_MEMBER: Final = Text(
    rf"(?!{GROUP})({_ID})",
    'the id of a caller ("local:ada", "token:ci", "anonymous"), or a pattern over ids ("token:ci-*")',
)
_TEAM_MEMBER: Final = Text(
    _ID, 'the id of a caller ("local:ada", "token:ci", "anonymous"), a pattern over ids, or "group:NAME"'
)

_identity: Final = IdentitySpec()

IDENTITY: Final = Record(
    (
        Field(
            "required",
            Flag(),
            "Only callers with a token are served over HTTP and A2A. Who has none is `anonymous` where this is false. On "
            "standard input and output the caller is the operating-system user, with or without it. It must be true "
            "where a listener is open to the network.",
            _identity.required,
        ),
        Field(
            "groups",
            TableOf(ListOf(_MEMBER), NAME, NAME_FORM, "GROUP"),
            "Groups of callers, which rules go by, besides those that a token was made with.",
            None,
            {"oncall": ["local:ada", "token:pager"]},
        ),
        Field(
            "teams",
            TableOf(ListOf(_TEAM_MEMBER), NAME, NAME_FORM, "TEAM"),
            "Teams, which budgets go by. A caller belongs to the first one that names it or a group of it.",
            None,
            {"platform": ["group:oncall", "token:ci-*"]},
        ),
    )
)
"""Who callers are."""
