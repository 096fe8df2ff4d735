"""Arguments are checked precisely, and a hostile schema cannot hurt."""

import time

from mcp_orchestrator.core.schema import MAX_NODES, Checker, unfolded_size

SEARCH = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}},
    "required": ["query"],
    "additionalProperties": False,
}


def test_good_arguments_have_no_faults():
    assert Checker(SEARCH).faults({"query": "x", "limit": 3}) == []


def test_a_schema_that_names_no_dialect_is_read_as_2020_12():
    pair = {"prefixItems": [{"type": "string"}], "items": False}
    schema = {
        "type": "object",
        "properties": {"pair": pair, "b": {}},
        "dependentRequired": {"pair": ["b"]},
        "allOf": [{"properties": {"c": {}}}],
        "unevaluatedProperties": False,
    }
    for body in (schema, {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}):
        checker = Checker(body)
        assert checker.faults({"pair": ["x"], "b": 1, "c": 2}) == []
        for wrong in ({"pair": [1], "b": 1}, {"pair": ["x", "y"], "b": 1}, {"pair": ["x"]}, {"d": 1}):
            assert checker.faults(wrong), wrong
    older = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    assert Checker(older).faults({"pair": ["x", "y"]}) != Checker(schema).faults({"pair": ["x", "y"]})


def test_every_fault_is_named_with_its_place():
    faults = Checker(SEARCH).faults({"limit": "three", "querry": 1})
    text = "; ".join(faults)
    assert '"query" is a required property' in text
    assert 'at /limit: "three" is not of type "integer"' in text
    assert "'querry' was unexpected" in text
    assert "did you mean 'query'?" in text


def test_at_most_five_faults_are_named():
    schema = {"type": "object", "properties": {str(n): {"type": "string"} for n in range(20)}}
    assert len(Checker(schema).faults({str(n): n for n in range(20)})) == 5


def test_a_schema_that_cannot_be_compiled_is_reported_and_checks_nothing():
    checker = Checker({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x.json"}}})
    assert checker.unusable
    assert checker.faults({"a": 1}) == []


def test_a_backtracking_pattern_cannot_block_the_loop():
    checker = Checker({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    began = time.process_time()
    assert checker.faults({"a": "a" * 40 + "!"})
    assert time.process_time() - began < 1


def test_a_reference_bomb_is_counted_without_being_unfolded_and_not_used():
    definitions = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(26)
    }
    definitions["d26"] = {"type": "string"}
    bomb = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}
    assert unfolded_size(bomb) > MAX_NODES
    assert "unfolds" in Checker(bomb).unusable


def test_a_schema_that_refers_to_itself_is_fine():
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "value": {"type": "integer"}}}
    assert Checker(tree).faults({"left": {"left": {"value": "x"}}})
    assert unfolded_size(tree) < 20


def test_a_schema_nested_beyond_reason_is_not_used():
    deep: dict = {"type": "object"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    assert Checker(deep).unusable
