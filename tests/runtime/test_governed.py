"""A call on terms goes the one way: agreed to, counted, held and tried, in this order; without terms it only tries."""

import pytest

from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.model.rules import Approval, Limit, Rate, Scope, Terms
from mcp_orchestrator.runtime import governed as room

pytestmark = pytest.mark.anyio

DONE = Completed(b"{}", Era.MODERN)
NO = Failed(FailureKind.REFUSED, -32000, "no")
TARGET = Target("one", "find", None, 1.0)
APPROVAL = Approval("r1", "f:1", ("operator",), Scope.ONCE, None)
LIMIT = Limit("r2", "f:2", Rate(1, 60.0, 1), "k")


class Run:
    """As much of a run as is looked at."""

    def __init__(self, terms):
        face = ClientFace(Era.MODERN, "2026-07-28")
        self.call = Call(CallKind.TOOL, "tools/call", "one__find", {"name": "one__find"}, {}, face)
        self.plan = Plan(TARGET, None, (), terms)
        self.veil = None


class Engine:
    """Notes in what order it is asked; `agreed` and `early` are what it answers."""

    def __init__(self, agreed=None, early=None):
        self.asked = []
        self.agreed, self.early = agreed, early
        self.policing = self.purse = self

    async def approved(self, run, target, approvals):
        self.asked.append("approvals")
        return self.agreed

    def throttled(self, limits):
        self.asked.append("rates")
        return self.early

    def judged(self, run, outcome):
        self.asked.append("result")
        return outcome


@pytest.fixture
def carried(monkeypatch):
    """Carries a run out over a backend that notes when it is called."""

    async def carry(engine, terms):
        async def paid(run, engine, supervisor, target):
            engine.asked.append("backend")
            return DONE

        monkeypatch.setattr(room, "paid", paid)
        monkeypatch.setattr(room, "too_early", lambda early: NO)
        return await room.governed(Run(terms), engine, None, TARGET)

    return carry


async def test_everything_is_asked_in_the_one_order(carried):
    engine = Engine()
    assert await carried(engine, Terms(approvals=(APPROVAL,), limits=(LIMIT,))) is DONE
    assert engine.asked == ["approvals", "rates", "backend", "result"]


async def test_what_nobody_agreed_to_is_neither_counted_nor_sent(carried):
    engine = Engine(agreed=NO)
    assert await carried(engine, Terms(approvals=(APPROVAL,), limits=(LIMIT,))) is NO
    assert engine.asked == ["approvals"]


async def test_what_comes_too_early_is_not_sent(carried):
    engine = Engine(early=object())
    assert await carried(engine, Terms(limits=(LIMIT,))) is NO
    assert engine.asked == ["rates", "result"]


async def test_without_terms_it_is_only_tried(carried):
    engine = Engine()
    assert await carried(engine, None) is DONE
    assert engine.asked == ["backend"]
