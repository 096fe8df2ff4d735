"""Agreements are asked for, recorded before anything is done, and kept no longer than they were given for."""

import anyio
import pytest
from engines import Journal

from mcp_orchestrator.core.approving import ALLOW, Case
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.rules import Approval, Scope
from mcp_orchestrator.runtime.approvals import Approvals
from mcp_orchestrator.runtime.desk import Desk

pytestmark = pytest.mark.anyio

ADA = Principal("local:ada")
YES = Answer({"action": "accept", "content": {"decision": ALLOW}}, by="cli")


def case(run="r1", within="r1", context="", **arguments):
    return Case(run, ADA, "call", "a.b", "a", arguments, "p", within, context)


def approval(scope=Scope.ONCE, approvers=("operator",), expires=None):
    return Approval("rule", "f:1", approvers, scope, expires)


class Office:
    """Approvals with a desk where `answers` are given at once, in turn."""

    def __init__(self, *answers):
        self.journal = Journal()
        self.answers = list(answers)
        self.asked = 0
        self.desk = Desk(5.0, lambda: 0.0, self._came)
        record = lambda kind, run, data: self.journal.record(Event(kind, 0.0, run, data))  # noqa: E731
        self.approvals = Approvals(self.desk, self.journal, record, 5.0)

    def _came(self, waiting):
        self.asked += 1
        if self.answers:
            self.desk.give(waiting, self.answers.pop(0))

    async def ask(self, about, wanted, client=None):
        with anyio.fail_after(10):
            return await self.approvals.obtain(about, [wanted], client)


async def test_what_was_agreed_to_once_is_asked_for_again():
    office = Office(YES, YES)
    assert [await office.ask(case(), approval()) for _ in range(2)] == ["", ""]
    assert office.asked == 2


@pytest.mark.parametrize(
    ("scope", "same", "others"),
    [
        (Scope.RUN, case(run="r2", within="r1", n=1), [case(n=2), case(within="r9", n=1)]),
        (
            Scope.CONTEXT,
            case(run="r2", within="r2", context="c", n=1),
            [case(context="c", n=2), case(context="d", n=1), case(n=1)],
        ),
    ],
)
async def test_an_agreement_for_longer_holds_for_the_same_call_there_and_for_nothing_else(scope, same, others):
    office = Office(YES)
    assert await office.ask(case(context="c", n=1), approval(scope)) == ""
    assert await office.ask(same, approval(scope)) == ""
    assert office.asked == 1
    for other in others:
        office.answers.append(Answer({"action": "decline"}, by="cli"))
        assert "not approved" in await office.ask(other, approval(scope))
    kinds = office.journal.kinds()
    assert (kinds.count(EventKind.APPROVAL_GRANTED), kinds.count(EventKind.APPROVAL_USED)) == (1, 1)


async def test_the_first_answer_counts():
    async def never(_key, _question):
        await anyio.sleep_forever()

    office = Office(YES)
    assert await office.ask(case(), approval(approvers=("local:ada", "operator")), never) == ""
    granted = next(event for event in office.journal.events if event.kind == EventKind.APPROVAL_GRANTED)
    assert granted.data["by"] == "cli"
    assert office.desk.questions() == []


async def test_a_client_that_cannot_be_asked_leaves_it_to_the_command_line():
    async def cannot(_key, _question):
        return None

    office = Office(YES)
    assert await office.ask(case(), approval(approvers=("local:ada", "operator")), cannot) == ""
    assert "nobody answered" in await office.ask(case(), approval(approvers=("local:ada",)), cannot)


async def test_time_decides_against_it():
    office = Office()
    assert "nobody answered within 0.05 s" in await office.ask(case(), approval(expires=0.05))
    assert office.desk.questions() == []


async def test_what_cannot_be_shown_whole_or_recorded_is_not_approved():
    office = Office(YES)
    assert "too large" in await office.ask(case(text="x" * 300_000), approval())
    office.journal.broken = True
    assert "could not be recorded" in await office.ask(case(n=1), approval(Scope.RUN))
    office.journal.broken = False
    office.answers.append(YES)
    assert await office.ask(case(n=1), approval(Scope.RUN)) == ""
    assert office.asked == 2


async def test_every_approval_is_needed():
    office = Office(YES, Answer({"action": "decline"}, by="cli"))
    with anyio.fail_after(10):
        refused = await office.approvals.obtain(
            case(), [approval(), Approval("second", "f:2", ("operator",), Scope.ONCE, None)], None
        )
    assert "rule 'second' (f:2)" in refused
