"""Many servers show one face."""

from mcp_orchestrator.core.faces import capabilities, instructions
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers


def offers(name, capabilities=None, instructions=None):
    return Offers(name, Era.MODERN, "", capabilities=capabilities or {}, instructions=instructions)


def test_lists_are_declared_with_list_changed_when_any_server_has_them():
    merged = capabilities(
        [offers("a", {"tools": {}}), offers("b", {"resources": {"subscribe": True}})], Era.MODERN, more_to_come=False
    )
    assert merged == {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}}


def test_all_lists_are_declared_while_a_server_is_still_unknown():
    assert set(capabilities([], Era.MODERN, more_to_come=True)) == {"tools", "prompts", "resources"}


def test_extensions_are_united():
    merged = capabilities(
        [offers("a", {"extensions": {"x/1": {"v": 1}}}), offers("b", {"extensions": {"y/2": {}}})],
        Era.MODERN,
        more_to_come=False,
    )
    assert merged["extensions"] == {"x/1": {"v": 1}, "y/2": {}}


def test_an_unknown_capability_is_passed_on_only_when_one_server_has_it():
    one, two = offers("a", {"novel": {"v": 1}}), offers("b", {"novel": {"v": 2}})
    assert capabilities([one], Era.MODERN, more_to_come=False)["novel"] == {"v": 1}
    assert "novel" not in capabilities([one, two], Era.MODERN, more_to_come=False)


def test_an_unknown_capability_of_the_other_era_is_not_passed_on():
    assert "novel" not in capabilities([offers("a", {"novel": {}})], Era.LEGACY, more_to_come=False)


def test_instructions_of_one_server_are_as_they_are_and_of_several_under_their_names():
    assert instructions([offers("a", instructions="Do.")]) == "Do."
    assert instructions([offers("a", instructions="Do."), offers("b")]) == "## a\nDo."
    assert instructions([offers("a")]) is None
