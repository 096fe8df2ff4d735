"""What a JSON Schema says of types, as far as it is plain."""

import pytest

from mcp_orchestrator.config.schema_kinds import fits, part_at, types_of, value_faults

ROOT = {
    "$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}},
    "properties": {"a": {"type": "object", "properties": {"b": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}},
}


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"type": "odd"}, None),
        ({"$ref": "#/$defs/n"}, {"integer"}),
        ({"$ref": "#/$defs/loop"}, None),
        ({"$ref": "http://x/y"}, None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"string", "null"}),
        ({"oneOf": [{"type": "string"}, {}]}, None),
        (
            {"enum": ["a", 1, 1.5, None, True, [], {}]},
            {"string", "integer", "number", "null", "boolean", "array", "object"},
        ),
        ({"const": 1}, {"integer"}),
        ({}, None),
        (True, None),
    ],
)
def test_types(part, kinds):
    assert types_of(part, ROOT) == kinds


def test_whole_numbers_and_numbers_go_together():
    assert fits({"integer"}, {"number"})
    assert fits({"number"}, {"integer"})
    assert fits({"string", "null"}, {"null"})
    assert not fits({"string"}, {"number"})


def test_the_part_that_a_path_selects():
    assert part_at(ROOT, ".a.b[0]") == {"$ref": "#/$defs/n"}
    assert part_at(ROOT, '["a"]') == ROOT["properties"]["a"]
    assert part_at(ROOT, ".a.c") == "c"
    assert part_at({"properties": {}, "additionalProperties": True}, ".x") is None
    assert part_at({}, ".x") is None
    assert part_at(ROOT, ".a.b[0].x") is None


def test_a_value_is_checked_against_its_own_part_with_shared_definitions():
    schema = {"$defs": ROOT["$defs"], "properties": {"n": {"$ref": "#/$defs/n"}, "any": True}, "required": ["z"]}
    assert value_faults(schema, "n", 1) == []
    assert value_faults(schema, "n", "x")
    assert value_faults(schema, "any", "x") == []
    assert value_faults(schema, "unknown", "x") == []
