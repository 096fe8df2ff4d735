"""How providers stand: ejection with one probe at a time, latency, places, and whom a sticky caller stays with."""

import pytest

from mcp_orchestrator.model.plan import Care
from mcp_orchestrator.model.routing import LogicalTool
from mcp_orchestrator.runtime import health as room
from mcp_orchestrator.runtime.health import Health, Visit
from mcp_orchestrator.testing.fake_backend import FakeClock

LOGICAL = LogicalTool("t", "", {}, (), eject_after=2, eject_for=10.0)
CARE = Care("a.t", LOGICAL)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def health(clock):
    return Health(clock, lambda: 0.5)


def visit(health, *, well, care=CARE):
    made = health.enter(care)
    assert isinstance(made, Visit), made
    made.leave(well=well)
    return health.standings["a.t"]


def test_failures_in_a_row_eject_and_one_success_forgives(health, clock):
    visit(health, well=False)
    visit(health, well=True)
    assert visit(health, well=False).ejected_until == 0.0
    assert visit(health, well=False).ejected_until == clock() + 10.0
    assert list(health.outlook({}).ejected) == ["a.t"]


def test_what_says_nothing_of_the_provider_changes_nothing(health):
    visit(health, well=False)
    standing = visit(health, well=None)
    assert (standing.failures, standing.latency, standing.busy) == (1, None, 0)


def test_a_probe_is_one_call_at_a_time_and_the_time_doubles_when_it_fails(health, clock):
    for _ in range(2):
        visit(health, well=False)
    clock.advance(11)
    probe = health.enter(CARE)
    assert isinstance(probe, Visit)
    assert "another call is trying it" in health.enter(CARE)
    probe.leave(well=False)
    assert health.standings["a.t"].ejected_until == clock() + 20.0
    for _ in range(9):
        clock.advance(100_000)
        visit(health, well=False)
    assert health.standings["a.t"].ejected_until == clock() + 10.0 * room.LONGEST
    clock.advance(100_000)
    standing = visit(health, well=True)
    assert (standing.ejected_until, standing.failures, standing.ejections) == (0.0, 0, 0)
    assert not health.outlook({}).ejected


def test_places_are_counted_and_given_back(health):
    care = Care("a.t", LOGICAL, limit=1)
    first = health.enter(care)
    assert health.enter(care) == "1 calls at once are its limit"
    first.leave(well=None)
    assert isinstance(health.enter(care), Visit)


def test_latency_is_a_moving_mean_of_what_went_well(health, clock):
    for took in (1.0, 2.0):
        made = health.enter(CARE)
        clock.advance(took)
        made.leave(well=True)
    standing = health.standings["a.t"]
    assert standing.latency == pytest.approx(1.0 + room.WEIGHT * 1.0)
    assert standing.measured_at == clock()


def test_homes_are_remembered_and_bounded(health, monkeypatch):
    monkeypatch.setattr(room, "MOST_HOMES", 2)
    for key in ("x", "y", "x", "z"):
        visit(health, well=True, care=Care("a.t", LOGICAL, home=key))
    assert dict(health.outlook({}).homes) == {"x": "a.t", "z": "a.t"}


def test_the_outlook_says_what_is_down_and_what_time_and_chance_it_is(health, clock):
    outlook = health.outlook({"a": "gone"})
    assert (outlook.now, outlook.chance, outlook.down) == (clock(), 0.5, {"a": "gone"})
