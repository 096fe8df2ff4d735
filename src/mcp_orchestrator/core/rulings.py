"""What comes of the rules: one ruling about one thing that somebody wants, and how several become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Approval, Effect, Judge, Judged, Limit, Redaction, Terms

_ORDER: Final = (Effect.DENY, Effect.ASK, Effect.LIMIT, Effect.ALLOW)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants it, by which client (as it says of itself), for which context, in which mode of delegation."""

    principal: Principal
    client: str = ""
    version: str = ""
    era: str = ""
    profile: str = ""
    context: str = ""
    mode: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the plain part of rules looks at."""
        who = self.principal
        return who.id, who.kind, who.owner, who.groups, who.team, self.client, self.version, self.era, self.profile

    @property
    def ids(self) -> tuple[str, ...]:
        """Whose rules it is under: its own, and those of the client on whose behalf an agent works."""
        who = self.principal
        return (who.id, who.owner) if who.owner else (who.id,)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say. `refusal` is "" unless they deny; `rule` and `where` are of the rule that decides."""

    effect: Effect
    reasons: tuple[Reason, ...] = ()
    refusal: str = ""
    rule: str = ""
    where: str = ""
    fault: bool = False
    approvals: tuple[Approval, ...] = ()
    limits: tuple[Limit, ...] = ()
    arguments: Mapping[str, Any] | None = None
    redactions: tuple[Redaction, ...] = ()
    judge: Judge | None = None

    @property
    def terms(self) -> Terms | None:
        """The terms on which the call may be made; None: on none."""
        if not (self.approvals or self.limits or self.judge or self.arguments is not None):
            return None
        return Terms(self.approvals, self.limits, (), self.redactions, self.arguments, self.judge)


def combined(effects: Iterable[Effect], *, faults: bool = False) -> Effect:
    """The strictest of what the rules want; redact and rewrite stand in nobody's way, and an error denies."""
    found = set(effects)
    if faults:
        return Effect.DENY
    return next((effect for effect in _ORDER if effect in found), Effect.ALLOW)


def together(rulings: Iterable[Ruling | None]) -> Ruling | None:
    """One ruling of several about the same call (of a tool of ours and the server's tool behind it): all of them count."""
    found = [ruling for ruling in rulings if ruling is not None]
    if not found or found[1:] == []:
        return found[0] if found else None
    denied = next((ruling for ruling in found if ruling.effect is Effect.DENY), None)
    reasons = tuple(dict.fromkeys(reason for ruling in found for reason in ruling.reasons))
    if denied is not None:
        return Ruling(Effect.DENY, (*(one for one in reasons if one not in denied.reasons), *denied.reasons),
                      denied.refusal, denied.rule, denied.where, denied.fault)  # fmt: skip
    judges = [ruling.judge for ruling in found if ruling.judge is not None]
    changed = [ruling.arguments for ruling in found if ruling.arguments is not None]
    return Ruling(
        combined(ruling.effect for ruling in found),
        reasons,
        approvals=tuple(dict.fromkeys(one for ruling in found for one in ruling.approvals)),
        limits=tuple(dict.fromkeys(one for ruling in found for one in ruling.limits)),
        arguments=changed[-1] if changed else None,
        redactions=tuple(dict.fromkeys(one for ruling in found for one in ruling.redactions)),
        judge=_InTurn(judges) if judges else None,
    )


class _InTurn:
    """Several judges, one after the other."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        self._judges = judges

    def __call__(self, result: bytes) -> Judged:
        reasons: tuple[Reason, ...] = ()
        for judge in self._judges:
            judged = judge(result)
            reasons += judged.reasons
            if judged.result is None:
                return Judged(None, reasons)
            result = judged.result
        return Judged(result, reasons)

    def veil(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        for judge in self._judges:
            params = judge.veil(params)
        return params
