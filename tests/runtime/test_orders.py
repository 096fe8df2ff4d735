"""Orders: where work may be done, and the least of all limits."""

import pytest

from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.runtime.orders import DelegationError, check_place, limits_of


def test_places_under_a_root_are_allowed_links_resolved(tmp_path):
    inside = tmp_path / "root" / "deep"
    inside.mkdir(parents=True)
    (tmp_path / "link").symlink_to(inside)
    for given in (tmp_path / "root", inside, tmp_path / "link", inside / ".." / "deep"):
        check_place(str(given), [tmp_path / "root"])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("rel", "not absolute"), ("/no/such", "no directory"), ("/", "outside of the allowed"), ("/a\0b", "no path"),
        ("/" + "x" * 5000, "no path"),
    ],
)  # fmt: skip
def test_other_places_are_refused_with_the_reason(tmp_path, given, why):
    with pytest.raises(DelegationError, match=why):
        check_place(given, [tmp_path])


def test_a_loop_of_links_is_no_place(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(DelegationError, match=r"no path|no directory"):
        check_place(str(tmp_path / "one"), [tmp_path])


def test_without_roots_nothing_is_allowed(tmp_path):
    with pytest.raises(DelegationError, match=r"\(none; delegation.roots\)"):
        check_place(str(tmp_path), [])


def test_the_least_of_all_limits_counts():
    spec = AgentSpec("a", AgentKind.SCRIPTED, timeout=100.0, max_cost=5_000)
    assert limits_of(spec) == {"seconds": 100.0, "cost": 5_000}
    assert limits_of(spec, {"seconds": 200.0, "turns": 2}, {"cost": 1_000}) == {
        "seconds": 100.0,
        "cost": 1_000,
        "turns": 2,
    }
