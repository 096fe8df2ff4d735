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
    assert {name: merged[name] for name in ("tools", "resources")} == {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
    }


def test_all_lists_are_declared_while_a_server_is_still_unknown():
    assert set(capabilities([], Era.LEGACY, more_to_come=True)) == {"tools", "prompts", "resources"}


def test_extensions_are_united():
    merged = capabilities(
        [offers("a", {"extensions": {"x/1": {"v": 1}}}), offers("b", {"extensions": {"y/2": {}}})],
        Era.MODERN,
        more_to_come=False,
    )
    assert merged["extensions"] == {"x/1": {"v": 1}, "y/2": {}}  # and no tasks where there are no tools


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


EXTENSION = "io.modelcontextprotocol/tasks"
TASKS = {"tasks": {"list": {}, "requests": {"tools": {"call": {}}}}}


def test_modern_clients_may_get_tasks_from_any_view_that_has_tools():
    assert capabilities([offers("a", {"tools": {}})], Era.MODERN, more_to_come=False)["extensions"] == {EXTENSION: {}}
    assert "extensions" not in capabilities([offers("a", {"prompts": {}})], Era.MODERN, more_to_come=False)


def test_tasks_are_declared_in_the_words_of_the_clients_era_only():
    modern = offers("a", {"tools": {}, "extensions": {EXTENSION: {}}})
    legacy = Offers("b", Era.LEGACY, "", capabilities={"tools": {}, **TASKS})
    for source in (modern, legacy):
        old = capabilities([source], Era.LEGACY, more_to_come=False)
        assert old["tasks"] == {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        assert "extensions" not in old
        assert "tasks" not in capabilities([source], Era.MODERN, more_to_come=False)


def test_legacy_clients_get_no_tasks_where_no_server_has_them():
    assert "tasks" not in capabilities([offers("a", {"tools": {}})], Era.LEGACY, more_to_come=False)
