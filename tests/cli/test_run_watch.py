"""`runs watch`: every event once, in order, until nothing more will come."""

import io

from mcp_orchestrator.cli import run_watch
from mcp_orchestrator.cli.printing import Printer
from mcp_orchestrator.model.agent import AgentMode, Ended, EndStatus
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.storage.reading import StoredEvent

OPEN = Delegated("r1", "a", "scripted", "x", AgentMode.READ, "local:ada")
OVER = Delegated(
    "r1", "a", "scripted", "x", AgentMode.READ, "local:ada", DelegationState.ENDED, ended=Ended(EndStatus.COMPLETED)
)


def event(seq, kind, **data):
    return StoredEvent(seq, 0.0, kind.value, "r1", data)


class Journal:
    """A journal that grows by one portion with every pause."""

    def __init__(self, *portions):
        self.portions = list(portions)
        self.there = self.portions.pop(0)
        self.kept = OPEN

    def run(self, run, after=0, limit=None):
        return [one for one in self.there if one.seq > after]

    def delegation(self, run):
        return self.kept

    def grow(self, _seconds):
        if self.portions:
            self.there += self.portions.pop(0)
        else:
            self.kept = OVER


def followed(journal):
    told = []
    run_watch.follow(journal, "r1", told.append, journal.grow)
    return [one.seq for one in told]


def test_a_call_is_watched_to_its_end():
    journal = Journal([event(1, EventKind.RUN_STARTED)], [event(2, EventKind.RUN_ENDED)])
    assert followed(journal) == [1, 2]


def test_a_delegation_is_watched_beyond_the_end_of_the_call_that_began_it():
    journal = Journal(
        [event(1, EventKind.RUN_STARTED), event(2, EventKind.DELEGATION_ACCEPTED), event(3, EventKind.RUN_ENDED)],
        [event(4, EventKind.AGENT_EVENT, type="text", text="hello")],
        [event(5, EventKind.DELEGATION_ENDED)],
    )
    assert followed(journal) == [1, 2, 3, 4, 5]


def test_a_line_says_what_an_agent_said_and_hides_the_frame():
    out = Printer(out=io.StringIO())
    said = run_watch.line(event(4, EventKind.AGENT_EVENT, type="text", text="two\nlines", raw="{}"), "10:00", out)
    assert said.split() == ["10:00", "text", "two", "lines"]
    used = run_watch.line(event(5, EventKind.AGENT_EVENT, type="tool", name="Bash", status="running"), "10:00", out)
    assert "name=Bash status=running" in used
