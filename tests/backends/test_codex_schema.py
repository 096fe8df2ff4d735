"""Which schemas Codex can ask its model's endpoint for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.codex_schema import in_words, strict

NUMBER = {"type": "integer"}


def closed(**properties):
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def test_an_object_that_says_nothing_about_others_is_closed_at_every_depth():
    inner = {"type": "object", "properties": {"b": NUMBER}, "required": ["b"]}
    rows = {"type": "array", "items": inner}
    schema = {"type": "object", "properties": {"a": inner, "rows": rows}, "required": ["a", "rows"]}
    made = strict(schema)
    assert made == closed(a=closed(b=NUMBER), rows={"type": "array", "items": closed(b=NUMBER)})
    assert "additionalProperties" not in inner


@pytest.mark.parametrize(
    "schema",
    [
        NUMBER,
        {"type": "array", "items": NUMBER},
        {"type": "object", "properties": {"a": NUMBER}},
        {"type": "object", "properties": {"a": NUMBER}, "required": ["a"], "additionalProperties": True},
        closed(a={"type": "object", "additionalProperties": NUMBER}),
        closed(a={"oneOf": [NUMBER]}),
        closed(a={"type": "array", "items": {"not": {}}}),
        closed(a={"anyOf": [NUMBER, {"allOf": [NUMBER]}]}),
        closed(a=True),
        {**closed(a=NUMBER), "patternProperties": {}},
    ],
)
def test_a_schema_without_a_strict_form_has_none(schema):
    assert strict(schema) is None


_leaves = st.sampled_from([NUMBER, {"type": "string", "enum": ["x"]}, {"anyOf": [NUMBER, {"type": "null"}]}])
_schemas = st.recursive(
    _leaves,
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda found: closed(**found))
        | inner.map(lambda found: {"type": "array", "items": found})
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), _schemas, max_size=3))
def test_what_is_strict_stays_as_it_is(properties):
    schema = closed(**properties)
    assert strict(schema) == schema


def test_in_words_the_schema_stands_behind_the_task():
    assert in_words("Count.", NUMBER).startswith("Count.\n\n")
    assert '{"type": "integer"}' in in_words("Count.", NUMBER)
