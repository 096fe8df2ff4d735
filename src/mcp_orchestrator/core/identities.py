"""Who belongs to which groups and team."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.snapshot import IdentitySpec

GROUP: Final = "group:"
"""How a team names a group."""

TOKEN: Final = "token:"  # noqa: S105 - how the ids of those begin who sign in with a token


def placed(principal: Principal, spec: IdentitySpec) -> Principal:
    """The principal with its groups and team; groups that it has already (of its token) stay, and come first."""
    named = (group for group, members in spec.groups.items() if _among(principal.id, members))
    groups = tuple(dict.fromkeys((*principal.groups, *named)))
    team = next((team for team, members in spec.teams.items() if _in_team(principal.id, groups, members)), "")
    return replace(principal, groups=groups, team=team)


def of_token(token: Token, spec: IdentitySpec) -> Principal:
    """Who signs in with a token."""
    return placed(Principal(f"{TOKEN}{token.name}", "token", groups=token.groups, scopes=token.scopes), spec)


def named(ident: str, tokens: Iterable[Token], spec: IdentitySpec, now: float) -> Principal:
    """The principal of this id as it would call now; of a token that is not in force, without its groups and scopes."""
    for token in tokens:
        if ident == f"{TOKEN}{token.name}" and token.is_good(now):
            return of_token(token, spec)
    kind, colon, _ = ident.partition(":")
    return placed(Principal(ident, kind if colon else ident), spec)


def _in_team(who: str, groups: tuple[str, ...], members: Iterable[str]) -> bool:
    return any(
        member.removeprefix(GROUP) in groups if member.startswith(GROUP) else fnmatch.fnmatchcase(who, member)
        for member in members
    )


def _among(who: str, members: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(who, member) for member in members)
