"""The policy: what the rules say about one thing that somebody wants, decided purely and told with rule and place.

All rules that match count: deny > ask > limit > allow; redact and rewrite add up. A rule that cannot be decided (its
condition fails) denies, and is told. Nothing is denied where no rule says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.core.conditions import BUDGET, Circumstances, Conditions, Fault, Together, variables
from mcp_orchestrator.core.effects import Redactor
from mcp_orchestrator.core.policy_results import ResultJudge
from mcp_orchestrator.core.policy_rules import Compiled, Subject, compiled, together
from mcp_orchestrator.core.policy_terms import approval_of, limits_of
from mcp_orchestrator.core.rulings import Asker, Ruling, combined
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Effect, Phase, PolicyRule

MOST_KEPT: Final = 4096
"""Choices of rules that are kept: for each thing and caller those rules that can match at all."""

_WORDS: Final[Mapping[Effect, str]] = {
    Effect.DENY: "denies",
    Effect.ASK: "wants a person to agree",
    Effect.LIMIT: "limits how often",
    Effect.REDACT: "takes something out",
    Effect.REWRITE: "changes arguments",
    Effect.ALLOW: "allows",
}
FEW: Final = 3
MANY: Final = 500
"""Conditions that are asked in one go: more than few, and no more than many."""

MOST_TOGETHER: Final = 64
"""Sets of conditions that are kept as one; each takes some milliseconds to be made."""

_SEVERAL: Final = frozenset({"kind", "principal.id"})
_ALL: Final = frozenset(variables(Phase.LIST))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The rules that fit one thing and caller but for their conditions; and what conditions know of both."""

    call: tuple[Compiled, ...] = ()
    seen: tuple[Compiled, ...] = ()
    result: tuple[Compiled, ...] = ()
    known: Mapping[str, Any] = field(default_factory=dict)
    keys: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.call or self.seen or self.result)


@dataclass(slots=True)
class _Said:
    """What the rules of one decision said so far."""

    spoke: list[Compiled] = field(default_factory=list)
    faults: list[tuple[Compiled, Fault]] = field(default_factory=list)


_NONE: Final = _Chosen()


class Policy:
    """The rules of one configuration, compiled."""

    def __init__(self, rules: Sequence[PolicyRule]) -> None:
        """Raises ValueError for a rule that the configuration should have refused."""
        self._conditions = Conditions()
        self._rules = tuple(compiled(rule, self._conditions) for rule in rules)
        for order, rule in enumerate(self._rules):
            rule.order = order
        self._chosen: dict[tuple[Any, ...], _Chosen] = {}
        self._together: dict[tuple[Any, ...], Together | None] = {}
        self.looks_at_questions = any(rule.may_concern("sampling", "elicitation") for rule in self._rules)
        self.reads_budget = any(any(name in BUDGET for name in rule.reads) for rule in self._rules)
        self.hides_by_time = any(Phase.LIST in rule.conditions and rule.reads_time for rule in self._rules)

    # -- the call -------------------------------------------------------------------------------------------------

    def decide(
        self,
        subject: Subject,
        asker: Asker,
        arguments: Mapping[str, Any],
        now: float,
        budget: Mapping[str, float] | None = None,
    ) -> Ruling | None:
        """What the rules say about this; None when none of them fits. `now` is seconds since the epoch."""
        chosen = self._choose(subject, asker)
        if not chosen:
            return None

        def seen() -> dict[str, Any]:
            return {**chosen.known, "now": dt.datetime.fromtimestamp(now, dt.UTC)}

        def called(given: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
            return lambda: {**seen(), **_more(asker, given), **(budget or {})}

        said = self._ask(chosen.call, Phase.CALL, called(arguments), (subject, asker), chosen.keys)
        if chosen.seen:
            hidden = self._ask(chosen.seen, Phase.LIST, seen, (subject, asker))
            said.spoke += [rule for rule in hidden.spoke if rule not in said.spoke]
            said.faults += hidden.faults
        changed = self._changed(said, called(arguments), arguments)
        if changed is not None and not said.faults:
            # What is sent must pass as well, or a rewrite would lead round the other rules.
            strict = [rule for rule in chosen.call if rule.effect in (Effect.DENY, Effect.ASK) and rule.conditions]
            again = self._ask(strict, Phase.CALL, called(changed), (subject, asker), chosen.keys)
            said.spoke += [rule for rule in again.spoke if rule not in said.spoke]
            said.faults += again.faults
        return self._ruling(chosen, said, changed, _Matter(subject, asker, arguments, now))

    def shows(self, subject: Subject, asker: Asker, now: float) -> bool:
        """Whether something is listed: what can never be called is not."""
        chosen = self._choose(subject, asker)
        if not chosen:
            return True
        said = self._ask(chosen.seen, Phase.LIST, lambda: self._seen(subject, asker, now), (subject, asker))
        if said.spoke or said.faults:
            return False
        never = [rule for rule in chosen.call if rule.effect is Effect.DENY and rule.never]
        said = self._ask(never, Phase.LIST, lambda: self._seen(subject, asker, now), (subject, asker))
        return not (said.spoke or said.faults)

    def _choose(self, subject: Subject, asker: Asker) -> _Chosen:
        key = (subject.key, asker.key)
        found = self._chosen.get(key)
        if found is None:
            fit = [rule for rule in self._rules if rule.fits(subject) and rule.fits_caller(asker)]
            found = (
                _Chosen(
                    tuple(rule for rule in fit if Phase.CALL in rule.phases),
                    tuple(rule for rule in fit if Phase.LIST in rule.phases and rule.effect is Effect.DENY),
                    tuple(rule for rule in fit if Phase.RESULT in rule.phases),
                    _known(subject, asker, frozenset().union(*(one.reads for one in fit))),
                    together(one.keys for one in fit),
                )
                if fit
                else _NONE
            )
            if len(self._chosen) >= MOST_KEPT:
                self._chosen.clear()
            self._chosen[key] = found
        return found

    def _ask(
        self,
        rules: Iterable[Compiled],
        phase: Phase,
        values: Callable[[], dict[str, Any]],
        about: tuple[Subject, Asker],
        keys: frozenset[str] | None = None,
    ) -> _Said:
        subject, asker = about
        rules = tuple(rules)
        conditional = [rule for rule in rules if phase in rule.conditions]
        if not conditional:
            return _Said(list(rules))
        shared = values()
        made = [
            self._conditions.circumstances(phase, {**shared, "kind": kind, "principal.id": ident}, keys)
            for kind in subject.kinds
            for ident in asker.ids
        ]
        answers = self._at_once(conditional, phase, made[0])
        said = _Said()
        for rule in rules:
            condition = rule.conditions.get(phase)
            found = True if condition is None else answers[rule.order] if answers else condition.judge(made[0])
            if found is False and condition is not None and len(made) > 1 and condition.reads & _SEVERAL:
                # What is completed or subscribed to counts as what it belongs to as well, and an agent as its owner.
                found = next((other for one in made[1:] if (other := condition.judge(one)) is not False), False)
            if found is True:
                said.spoke.append(rule)
            elif found is not False:
                said.faults.append((rule, found))
        return said

    def _at_once(self, rules: list[Compiled], phase: Phase, circumstances: Circumstances) -> dict[int, bool] | None:
        """What all conditions say, by the place of their rules; None where each must be asked by itself."""
        if not FEW < len(rules) <= MANY:
            return None
        key = (phase, *(rule.order for rule in rules))
        if key not in self._together:
            if len(self._together) >= MOST_TOGETHER:
                self._together.clear()
            self._together[key] = self._conditions.together([rule.conditions[phase] for rule in rules], phase)
        one = self._together[key]
        answers = one.judge(circumstances) if one is not None else None
        return None if answers is None else {rule.order: answer for rule, answer in zip(rules, answers, strict=True)}

    @staticmethod
    def _seen(subject: Subject, asker: Asker, now: float) -> dict[str, Any]:
        """The variables of the phase list."""
        return {**_known(subject, asker, _ALL), "now": dt.datetime.fromtimestamp(now, dt.UTC)}

    def _changed(
        self, said: _Said, values: Callable[[], dict[str, Any]], arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """The arguments as rules change them, in the order of the file; None when none does."""
        changed: dict[str, Any] | None = None
        redactions = []
        for rule in said.spoke:
            if rule.effect is Effect.REWRITE:
                changed = dict(arguments) if changed is None else changed
                circumstances = (
                    self._conditions.circumstances(Phase.CALL, values(), rule.keys) if rule.rewrites else None
                )
                for name, value in rule.constants.items():
                    changed[name] = value
                for name, expression in rule.rewrites.items():
                    found = expression.value(circumstances) if circumstances is not None else None
                    if isinstance(found, Fault):
                        said.faults.append((rule, Fault(f"rewrite of {name}: {found.text}")))
                    else:
                        changed[name] = found
            elif rule.effect is Effect.REDACT and rule.rule.redact is not None:
                redactions.append(rule.rule.redact)
        if redactions:
            before = arguments if changed is None else changed
            cleared = Redactor(redactions).arguments(before)
            changed = cleared if cleared != before else changed
        return changed

    # -- putting it together --------------------------------------------------------------------------------------

    def _ruling(
        self, chosen: _Chosen, said: _Said, changed: Mapping[str, Any] | None, matter: _Matter
    ) -> Ruling | None:
        effect = combined([rule.effect for rule in said.spoke], faults=bool(said.faults))
        reasons = [_reason(rule) for rule in said.spoke if rule.effect is not Effect.DENY]
        if effect is Effect.DENY:
            return _denied(said, reasons, matter)
        if not said.spoke and not chosen.result:
            return None
        results = chosen.result
        reasons += [_reason(rule, "may concern the result") for rule in results]
        judge = (
            ResultJudge(results, self._conditions, lambda: self._of_result(matter), matter.subject) if results else None
        )
        sure = (rule.rule.redact for rule in results if not rule.conditions and rule.effect is Effect.REDACT)
        return Ruling(
            effect,
            tuple(reasons),
            approvals=tuple(approval_of(rule.rule) for rule in said.spoke if rule.effect is Effect.ASK),
            limits=tuple(
                limit
                for rule in said.spoke
                if rule.effect is Effect.LIMIT
                for limit in limits_of(rule.rule, matter.subject, matter.asker)
            ),
            arguments=changed,
            redactions=tuple(one for one in sure if one is not None),
            judge=judge,
        )

    def _of_result(self, matter: _Matter) -> dict[str, Any]:
        seen = self._seen(matter.subject, matter.asker, matter.now)
        return {**seen, **_more(matter.asker, matter.arguments), "kind": matter.subject.kinds[0]}


@dataclass(frozen=True, slots=True)
class _Matter:
    subject: Subject
    asker: Asker
    arguments: Mapping[str, Any]
    now: float


def _known(subject: Subject, asker: Asker, reads: frozenset[str]) -> dict[str, Any]:
    """The variables of the phase list but for the time: those of them that anybody reads."""
    who = asker.principal
    known: dict[str, Any] = {
        "principal.id": who.id,
        "principal.kind": who.kind,
        "principal.owner": who.owner or who.id,
        "principal.groups": list(who.groups),
        "principal.team": who.team,
        "client.name": asker.client,
        "client.version": asker.version,
        "client.era": asker.era,
        "tool.name": subject.names[0],
        "tool.server": subject.server,
        "tool.labels": list(subject.labels),
        "tool.read_only": subject.hint("readOnlyHint"),
        "tool.destructive": subject.hint("destructiveHint"),
        "tool.idempotent": subject.hint("idempotentHint"),
        "tool.open_world": subject.hint("openWorldHint"),
        "agent.name": subject.agent,
        "agent.labels": list(subject.agent_labels),
        "profile": asker.profile,
    }
    return {name: _plain(value) for name, value in known.items() if name in reads}


def _plain(value: Any) -> Any:
    """Names without what the engine would cut them off at, or fail over: others choose them."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, str) or (value.isprintable() and value.isascii()):
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _more(asker: Asker, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that the phase call has besides."""
    who = asker.principal
    agent = who.id.split(":")[1] if who.run and who.id.count(":") > 1 else ""
    return {
        "args": arguments,
        "context.id": asker.context,
        "run.depth": who.depth,
        "run.agent": agent,
        "run.mode": asker.mode,
    }


def _reason(rule: Compiled, more: str = "") -> Reason:
    text = f"rule '{rule.rule.id}' {more or _WORDS[rule.effect]}"
    return Reason("policy", f"{text}: {rule.rule.reason}" if rule.rule.reason else text, rule.rule.id, rule.rule.where)


def _denied(said: _Said, reasons: list[Reason], matter: _Matter) -> Ruling:
    """The refusal: by which rule, where it stands, and what would have to change."""
    denying = [rule for rule in said.spoke if rule.effect is Effect.DENY]
    found = [(rule, f"rule '{rule.rule.id}' denies {matter.subject.names[0]}{_because(rule)}") for rule in denying]
    failed = [
        (rule, f"rule '{rule.rule.id}' cannot be decided: {fault.text}; what cannot be decided is denied")
        for rule, fault in said.faults
    ]
    every = [*failed, *found]
    rule, text = found[0] if found else failed[0]
    told = [Reason("policy", words, one.rule.id, one.rule.where) for one, words in every if one is not rule]
    place = f" ({rule.rule.where})" if rule.rule.where else ""
    refusal = f"refused by policy: {text}{place}. {rule.what_would_change(matter.subject)}"
    last = Reason("policy", text, rule.rule.id, rule.rule.where)
    return Ruling(Effect.DENY, (*reasons, *told, last), refusal, rule.rule.id, rule.rule.where, fault=bool(said.faults))


def _because(rule: Compiled) -> str:
    return f": {rule.rule.reason}" if rule.rule.reason else ""
