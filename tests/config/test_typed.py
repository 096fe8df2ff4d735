"""Expressions checked with the types and names of a tool's own schema."""

import pytest

from mcp_orchestrator.config.typed import Typed
from mcp_orchestrator.core.conditions import Conditions, Wrong

SCHEMA = {
    "type": "object",
    "properties": {
        "q": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"}, "f": {"type": "boolean"},
        "deep": {"type": "object", "properties": {"k": {"type": "array"}}}, "odd-name": {},
    },
}  # fmt: skip
CONDITIONS = Conditions()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("args.q", {"string"}),
        ("args.deep.k", {"array"}),
        ("args.q + 'x'", {"string"}),
        ("size(args.q)", {"integer"}),
        ("args.n > 3", {"boolean"}),
        ("double(args.n)", {"number"}),
        ("[args.n]", {"array"}),
        ("{'a': args.n}", {"object"}),
        ("null", {"null"}),
        ("args.x", {"number"}),
        ("args.x + 1.0", {"number"}),
        ("args.deep", {"object"}),
        ("has(args.q) ? args.q : 'x'", None),
        ("args", {"object"}),
        ("'args.nope' == args.q", {"boolean"}),
        ("args['odd-name']", None),
        ("principal.id", {"string"}),
    ],
)
def test_the_types_that_an_expression_gives(text, kinds):
    assert Typed(SCHEMA, CONDITIONS).kinds(text) == kinds


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("args.nope", 6, "no argument nope"),
        ("has(args.nope)", 10, "no argument nope"),
        ("args.q + 1", 8, "does not go with"),
        ("args.n && true", 8, "does not go with"),
        ("timestamp(args.q)", 1, "JSON does not have"),
    ],
)
def test_what_cannot_be_is_refused_with_its_column(text, column, said):
    found = Typed(SCHEMA, CONDITIONS).kinds(text)
    assert isinstance(found, Wrong)
    assert said in found.message
    assert found.column == column


def test_a_schema_that_takes_anything_knows_no_unknown_names():
    for schema in ({"type": "object"}, {**SCHEMA, "additionalProperties": True}):
        assert not isinstance(Typed(schema, CONDITIONS).kinds("args.nope"), Wrong)
