"""The policy of a gateway at work: what it hides, what a server may ask, what waits for a person, what a result may tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core import naming
from mcp_orchestrator.core.approving import Case
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.policing import (
    World,
    arguments_of,
    asker_of,
    delegation_subject,
    offered,
    question_subject,
    subject_of,
)
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.wire.jsonrpc import NULL, decode, encode
from mcp_orchestrator.model.agent import AgentSpec
from mcp_orchestrator.model.call import Call, CallKind, Principal
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.errors import INVALID_REQUEST
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.model.rules import Approval, Effect, Judged, Terms
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.runtime.approvals import AskClient
from mcp_orchestrator.runtime.orders import DelegationError, Order
from mcp_orchestrator.runtime.paying import too_early

if TYPE_CHECKING:
    from mcp_orchestrator.core.rulings import Asker, Ruling
    from mcp_orchestrator.runtime.engine import Engine
    from mcp_orchestrator.runtime.generation import Generation
    from mcp_orchestrator.runtime.run import Run

MOST_HIDDEN: Final = 1024
"""Callers for whom a catalog keeps what is hidden from them."""

_DOING: Final[Mapping[CallKind, str]] = {
    CallKind.TOOL: "call",
    CallKind.RESOURCE: "read",
    CallKind.PROMPT: "get the prompt",
    CallKind.COMPLETION: "complete",
    CallKind.SUBSCRIPTION: "subscribe to",
    CallKind.TASK: "look at a task of",
    CallKind.EXTENSION: "call the method",
}


class Policing:
    """Carries the policy of the configuration in force out, wherever it is not a plan's step."""

    def __init__(self, engine: Engine, generation: Callable[[], Generation]) -> None:
        self._engine = engine
        self._generation = generation
        self.taker: Callable[[Call], AgentSpec | None] | None = None

    @property
    def policy(self) -> Policy | None:
        """The policy in force; None when there are no rules."""
        return self._generation().rules.policy

    @property
    def digest(self) -> str:
        """The configuration whose rules are in force."""
        return self._generation().snapshot.digest

    @property
    def looks_at_questions(self) -> bool:
        """Whether a rule may be about what servers ask."""
        policy, budgets = self.policy, self._generation().rules.budgets
        return (policy is not None and policy.looks_at_questions) or (budgets is not None and budgets.counts_sampling)

    def world(self) -> World:
        """What rules look at besides a call."""
        generation = self._generation()
        agents = [spec for spec in generation.snapshot.agents.values() if not spec.disabled]
        budget = self._budget if generation.rules.budgets is not None else None
        return World(self._engine.now(), budget, agents, self.taker)

    def _budget(self, call: Call, target: Target) -> Mapping[str, float]:
        budgets, purse = self._generation().rules.budgets, self._engine.purse
        if budgets is None:
            return {}
        standing = purse.standing if purse is not None else {}
        asker = asker_of(call.principal, call.client, call.profile, call.context)
        return budgets.variables(subject_of(call, target), asker, self._engine.now(), standing)

    # -- what is hidden -------------------------------------------------------------------------------------------

    def hidden(self, catalog: Catalog, kind: OfferKind, view: View) -> frozenset[str]:
        """The public names that lists leave out for somebody."""
        policy = self.policy
        if policy is None:
            return frozenset()
        asker = asker_of(view.principal, view.client, view.profile)
        key = (kind, asker.key)
        found = None if policy.hides_by_time else catalog.hidden.get(key)
        if found is None:
            now = self._engine.now()
            found = frozenset(
                offer.public for offer in catalog.offers(kind) if not policy.shows(offered(offer), asker, now)
            )
            if len(catalog.hidden) >= MOST_HIDDEN:
                catalog.hidden.clear()
            catalog.hidden[key] = found
        return found

    def shows(self, offer: Offer, view: View) -> bool:
        """Whether somebody may know of an offer."""
        policy = self.policy
        asker = asker_of(view.principal, view.client, view.profile)
        return policy is None or policy.shows(offered(offer), asker, self._engine.now())

    # -- approvals ------------------------------------------------------------------------------------------------

    async def approved(self, run: Run, target: Target, approvals: Sequence[Approval]) -> Outcome | None:
        """Have a call approved; None when it is, else the refusal."""
        case = self._case(run.call, target, run.id)
        with run.unhurried():
            return await self._obtained(run.call, case, approvals, run.ask_client)

    async def approved_alone(self, call: Call, decided: Plan) -> Outcome | None:
        """The same for what is carried out without a run (subscriptions): only the command line can be asked."""
        if decided.target is None or decided.terms is None:
            return None
        purse = self._engine.purse
        early = purse.throttled(decided.terms.limits) if purse is not None and decided.terms.limits else None
        if early is not None:
            return too_early(early)
        case = self._case(call, decided.target, self._engine.new_run_id())
        return await self._obtained(call, case, decided.terms.approvals, None)

    async def _obtained(
        self, call: Call, case: Case, approvals: Sequence[Approval], ask: AskClient | None
    ) -> Outcome | None:
        refused = await self._engine.approvals.obtain(case, approvals, ask)
        if not refused and self.digest != case.policy:
            refused = "refused by policy: the configuration changed while somebody was asked; call again"
        if not refused:
            return None
        if call.kind is CallKind.TOOL:
            return ToolRefusal(refused, FailureKind.REFUSED)
        return Failed(FailureKind.REFUSED, INVALID_REQUEST, refused)

    async def agreed(self, run: Run, approval: Approval) -> str:
        """Who agreed to something else about a run (a raise of its budget); "" when nobody did."""
        target = run.plan.target
        if target is None:
            return ""
        with run.unhurried():
            by, _ = await self._engine.approvals.one(self._case(run.call, target, run.id), approval, run.ask_client)
        return by

    def _case(self, call: Call, target: Target, run: str) -> Case:
        own = target.backend == naming.OWN
        name = target.offer.dotted if target.offer is not None else naming.dotted(target.backend, target.name)
        return Case(
            run,
            call.principal,
            _DOING[call.kind],
            name,
            "" if own else target.backend,
            arguments_of(call, target),
            self.digest,
            call.principal.run or run,
            call.context or "",
        )

    # -- results --------------------------------------------------------------------------------------------------

    def judged(self, run: Run, outcome: Outcome) -> Outcome:
        """The outcome of a call as the rules hand it on."""
        terms = run.plan.terms
        if terms is None or terms.judge is None:
            return outcome
        match outcome:
            case Completed():
                judged = terms.judge(outcome.result)
                self._tell(run, judged.reasons)
                if judged.result is None:
                    return self._withheld(run, judged.reasons[-1].text if judged.reasons else "a rule withholds it")
                return outcome if judged.result is outcome.result else Completed(judged.result, outcome.era)
            case Failed(kind=FailureKind.BACKEND_ERROR):
                judged, told = _error(terms, outcome)
                self._tell(run, judged.reasons)
                return told
            case Failed() | ToolRefusal():
                return outcome

    def _withheld(self, run: Run, why: str) -> Outcome:
        text = f"refused by policy: the call was made, but {why}"
        if run.call.kind is CallKind.TOOL:
            return ToolRefusal(text, FailureKind.REFUSED)
        return Failed(FailureKind.REFUSED, INVALID_REQUEST, text)

    def _tell(self, run: Run, reasons: Sequence[Any]) -> None:
        if reasons:
            self._engine.record(EventKind.RESULT_JUDGED, run.id, {"reasons": list(reasons)})

    # -- questions ------------------------------------------------------------------------------------------------

    async def vetted(self, run: Run, question: Question) -> Question | None:
        """A server's question as the rules let it be put; None when they do not."""
        call, target = run.call, run.plan.target
        if target is None:
            return question
        asker = asker_of(call.principal, call.client, call.profile, call.context)
        return await self._put(question, target.backend, target.name, asker, run)

    async def vetted_outside(self, question: Question, backend: str, view: View | None) -> Question | None:
        """The same of a question outside of any call."""
        if view is None or not self.looks_at_questions:
            return question
        return await self._put(question, backend, "", asker_of(view.principal, view.client, view.profile), None)

    async def _put(self, question: Question, backend: str, name: str, asker: Asker, run: Run | None) -> Question | None:
        policy, subject = self.policy, question_subject(question.method, backend, name)
        if policy is None or subject is None:
            return question
        ruling = policy.decide(subject, asker, question.params, self._engine.now())
        if ruling is None:
            return question
        refused = ruling.refusal
        if not refused and ruling.limits and self._engine.purse is not None:
            early = self._engine.purse.throttled(ruling.limits)
            refused = "it comes too early for a rate limit" if early is not None else ""
        if not refused and ruling.approvals:
            refused = await self._question_approved(question, subject.server, asker, ruling, run)
        if refused:
            data = {"method": question.method, "backend": backend, "rule": ruling.rule, "where": ruling.where}
            self._engine.record(
                EventKind.QUESTION_REFUSED, run.id if run is not None else None, {**data, "text": refused}
            )
            return None
        return question if ruling.arguments is None else Question(question.method, dict(ruling.arguments))

    async def _question_approved(
        self, question: Question, server: str, asker: Asker, ruling: Ruling, run: Run | None
    ) -> str:
        digest = self.digest
        ident = run.id if run is not None else ""
        case = Case(
            ident, asker.principal, f"have {question.method} put", server, server, question.params, digest,
            asker.principal.run or ident, asker.context,
        )  # fmt: skip
        ask = run.ask_client if run is not None else None
        return await self._engine.approvals.obtain(case, ruling.approvals, ask)

    def forbids(self, who: Principal, client: str, profile: str | None, agent: AgentSpec) -> str:
        """Why somebody can never give work to an agent; "" when that depends on the work, or nothing forbids it."""
        policy = self.policy
        if policy is None:
            return ""
        asker = replace(asker_of(who, None, profile), client=client)
        if policy.shows(delegation_subject(agent), asker, self._engine.now()):
            return ""
        return f"the policy never lets {who.id} give work to {agent.name}"

    # -- delegation -----------------------------------------------------------------------------------------------

    async def may_delegate(self, order: Order, agent: AgentSpec) -> None:
        """Whether this agent may be given this work; asks whoever must agree, unless the call was approved already.

        Raises:
            DelegationError: it may not; the text names the rule.
        """
        policy = self.policy
        if policy is None:
            return
        asker = replace(asker_of(order.owner, None, order.profile, order.context), mode=order.mode.value)
        arguments = {
            "task": order.task,
            "agent": agent.name,
            "labels": list(order.labels),
            "mode": order.mode.value,
            "workspace": order.workspace,
            "context": order.context,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        ruling = policy.decide(delegation_subject(agent), asker, given, self._engine.now())
        if ruling is None:
            return
        if ruling.effect is Effect.DENY:
            raise DelegationError(ruling.refusal)
        run = self._engine.runs.get(order.run)
        terms = run.plan.terms if run is not None else None
        open_ones = [one for one in ruling.approvals if terms is None or one not in terms.approvals]
        if ruling.limits and terms is None and self._engine.purse is not None:
            early = self._engine.purse.throttled(ruling.limits)
            if early is not None:
                raise DelegationError(
                    f"refused by policy: rule '{early.limit.rule}' ({early.limit.where}) limits how often"
                )
        if not open_ones:
            return
        digest = self.digest
        case = Case(
            order.run, order.owner, "delegate", "delegate", "", given, digest, order.owner.run or order.run,
            order.context or "", agent.name,
        )  # fmt: skip
        refused = await self._engine.approvals.obtain(case, open_ones, run.ask_client if run is not None else None)
        if refused:
            raise DelegationError(refused)


def _error(terms: Terms, outcome: Failed) -> tuple[Judged, Failed]:
    """A server's error as the rules hand it on: its words are judged like those of a result."""
    data = None if outcome.data == NULL else outcome.data
    judged = terms.judge(encode({"message": outcome.message, "data": data})) if terms.judge is not None else Judged(b"")
    if judged.result is None:
        return judged, replace(outcome, message="the error of the server is withheld by policy", data=None)
    said: dict[str, Any] = decode(judged.result)
    if said == {"message": outcome.message, "data": data}:
        return judged, outcome
    return judged, replace(outcome, message=str(said["message"]), data=said["data"])
