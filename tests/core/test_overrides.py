"""What `overrides` make of a tool: the schema that clients see, and their arguments mapped back."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.overrides import Back, overridden, schema_for
from mcp_orchestrator.model.routing import ArgumentOverride, Override

TOOL = {
    "name": "write",
    "description": "Writes.",
    "annotations": {"readOnlyHint": False, "title": "Write"},
    "inputSchema": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("path", "text", "encoding", "mode")},
        "required": ["path", "encoding", "mode"],
        "dependentRequired": {"text": ["path", "encoding"], "encoding": ["mode"]},
        "additionalProperties": False,
    },
}
RULES = {
    "path": ArgumentOverride(rename="file", description="Where."),
    "encoding": ArgumentOverride(const=("utf-8",)),
    "mode": ArgumentOverride(default=("w",)),
    "text": ArgumentOverride(hide=True),
}


def test_fixed_and_hidden_arguments_are_not_shown_and_renamed_ones_have_their_new_names():
    schema = schema_for(TOOL["inputSchema"], RULES)
    assert schema["properties"] == {
        "file": {"type": "string", "description": "Where."},
        "mode": {"type": "string", "default": "w"},
    }
    assert schema["required"] == ["file"]
    assert schema["dependentRequired"] == {}
    assert schema["additionalProperties"] is False


def test_a_dependency_between_arguments_follows_their_names():
    schema = schema_for(TOOL["inputSchema"], {"path": ArgumentOverride(rename="file")})
    assert schema["dependentRequired"] == {"text": ["file", "encoding"], "encoding": ["mode"]}


def test_a_definition_that_nothing_changes_is_the_same_object():
    assert overridden(TOOL, Override("s.write", labels=("w",), price=3)) is TOOL


def test_words_and_hints_of_the_configuration_go_before_those_of_the_server():
    made = overridden(TOOL, Override("s.write", title="T", description="D", annotations={"readOnlyHint": True}))
    assert (made["title"], made["description"]) == ("T", "D")
    assert made["annotations"] == {"readOnlyHint": True, "title": "Write"}
    assert TOOL["annotations"]["readOnlyHint"] is False


def test_arguments_come_back_under_the_servers_names_with_what_is_fixed():
    back = Back(RULES)
    assert back({"file": "a"}) == {"path": "a", "encoding": "utf-8", "mode": "w"}
    assert back({"file": "a", "mode": "x"}) == {"path": "a", "encoding": "utf-8", "mode": "x"}
    assert back({"file": "a", "mode": None})["mode"] == "w"


@given(st.dictionaries(st.sampled_from(["path", "file", "text", "encoding", "mode", "other"]), st.text(max_size=3)))
def test_nobody_gets_round_what_is_fixed_hidden_or_renamed(arguments):
    sent = Back(RULES)(arguments)
    assert sent["encoding"] == "utf-8"
    assert "text" not in sent
    assert sent.get("path") == arguments.get("file")


def test_two_arguments_may_exchange_their_names():
    back = Back({"a": ArgumentOverride(rename="b"), "b": ArgumentOverride(rename="a")})
    assert back({"a": 1, "b": 2}) == {"b": 1, "a": 2}


def test_only_what_the_configuration_says_makes_a_call_repeatable():
    assert Override("s.t", idempotent=True).repeatable
    assert Override("s.t", annotations={"readOnlyHint": True}).repeatable
    assert not Override("s.t", annotations={"idempotentHint": True, "readOnlyHint": False}).repeatable
