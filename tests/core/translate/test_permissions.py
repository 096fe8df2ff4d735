"""A request for permission is a form with one choice, and only an offered choice permits anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.translate.permissions import FIELD, MOST_SHOWN, Option, decision, permission
from mcp_orchestrator.model.conversation import Answer

OPTIONS = (Option("once", "this once"), Option("no", "not at all"))


def test_the_form_shows_the_exact_command_and_what_each_option_allows():
    asked = permission("codex", "run a command", "rm -rf build", OPTIONS)
    assert asked.method == "elicitation/create"
    assert (
        asked.params["message"] == "codex wants to run a command:\nrm -rf build\n\n- once: this once\n- no: not at all"
    )
    field = asked.params["requestedSchema"]["properties"][FIELD]
    assert (field["enum"], field["enumNames"]) == (["once", "no"], ["this once", "not at all"])
    assert asked.params["requestedSchema"]["required"] == [FIELD]


def test_what_is_cut_is_said_to_be_cut():
    message = permission("codex", "write", "x" * (MOST_SHOWN + 7), OPTIONS).params["message"]
    assert "... (7 more characters" in message
    assert permission("codex", "write", "y" * MOST_SHOWN, OPTIONS).params["message"].count("y") == MOST_SHOWN


def test_the_chosen_option_is_read():
    assert decision(Answer({"action": "accept", "content": {FIELD: "no"}}), OPTIONS) == "no"


@pytest.mark.parametrize(
    "result",
    [
        None, {}, {"action": "decline"}, {"action": "cancel", "content": {FIELD: "once"}}, {"action": "accept"},
        {"action": "accept", "content": {FIELD: "always"}}, {"action": "accept", "content": {FIELD: ["once"]}},
        {"action": "accept", "content": "once"}, {"action": "ACCEPT", "content": {FIELD: "once"}},
    ],
)  # fmt: skip
def test_anything_else_permits_nothing(result):
    assert decision(Answer(result), OPTIONS) is None


@given(st.dictionaries(st.sampled_from(["action", "content"]), st.text() | st.dictionaries(st.text(), st.text())))
def test_no_answer_whatsoever_permits_what_was_not_offered(result):
    assert decision(Answer(result), OPTIONS) in {None, "once", "no"}
