"""What servers have a client's model do for them counts against budgets like any other call, in its own kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from mcp_orchestrator.core.budget import Cost
from mcp_orchestrator.core.budgeting import asking
from mcp_orchestrator.core.policing import question_subject
from mcp_orchestrator.core.pricing import cost_of_tokens, model_price
from mcp_orchestrator.core.translate.questions import NOBODY
from mcp_orchestrator.model.agent import AgentUsage
from mcp_orchestrator.model.budget import Prices, Unit
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.runtime.paying import held

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run
    from mcp_orchestrator.runtime.surroundings import Surroundings

METHOD: Final = "sampling/createMessage"

_CHARACTERS: Final = 4
"""Characters that a token is taken for, where what is read must be estimated."""


def counts(engine: Surroundings, question: Question) -> bool:
    """Whether a question is one that budgets count."""
    if question.method != METHOD or engine.purse is None:
        return False
    budgets = engine.purse.budgets
    return budgets is not None and budgets.counts_sampling


async def sampled(
    run: Run, engine: Surroundings, question: Question, put: Callable[[], Awaitable[Answer | None]]
) -> Answer | None:
    """Put a sampling request within its budgets; beyond them it is declined, and its server told why.

    Clients do not tell what a model used: the most that it may write (`maxTokens`) and what it is given to read count.
    """
    purse, target = engine.purse, run.plan.target
    budgets = purse.budgets if purse is not None else None
    subject = question_subject(question.method, target.backend, target.name) if target is not None else None
    if purse is None or budgets is None or subject is None:
        return await put()
    usage = _estimate(question)
    cost = Cost(usd=_price(question, usage, budgets.prices), tokens=_total(usage))
    demand = budgets.demand(subject, asking(run.call), cost, purse.now(), purse.standing)
    name = purse.name(run.id)
    refused = demand.refusal or (await held(run, engine, name, demand) if demand.holds else None)
    if refused is not None:
        return Answer(None, NOBODY, refused.message, by="gateway")
    began = engine.clock()
    answer: Answer | None = None
    given = False
    try:
        answer = await put()
        given = True
    finally:
        if demand.holds and given and (answer is None or answer.result is None):
            purse.release(name)
        elif demand.holds:
            purse.settle(name, {Unit.SECONDS.value: round((engine.clock() - began) * 1000)})
    return answer


def _estimate(question: Question) -> AgentUsage:
    most = question.params.get("maxTokens")
    read = len(repr(question.params.get("messages"))) + len(str(question.params.get("systemPrompt") or ""))
    written = most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else 0
    return AgentUsage(input_tokens=-(-read // _CHARACTERS), output_tokens=written)


def _total(usage: AgentUsage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _price(question: Question, usage: AgentUsage, prices: Prices) -> int | None:
    """Micro-dollars by the dearest model that the request hints at, where the configuration names its price.

    Which model a client takes is its own choice.
    """
    preferences = question.params.get("modelPreferences")
    hints = preferences.get("hints") if isinstance(preferences, dict) else None
    named = [hint.get("name") for hint in hints if isinstance(hint, dict)] if isinstance(hints, list) else []
    found = [model_price(prices, name) for name in named if isinstance(name, str)]
    known = [cost for price in found if price is not None and (cost := cost_of_tokens(usage, price)) is not None]
    return max(known) if known else None
