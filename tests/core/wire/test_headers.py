import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import inbound

from mcp_orchestrator.core.wire.headers import (
    NAME_BEARING,
    decode_header_value,
    encode_header_value,
    find_invalid_x_mcp_header,
    param_headers,
    validate_param_headers,
    x_mcp_header_map,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "where": {"type": "object", "properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}},
        "free": {"type": "string"},
    },
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "region": JSON,
        "count": JSON,
        "dry": JSON,
        "where": JSON | st.fixed_dictionaries({"zone": JSON}),
        "free": JSON,
    },
)


@given(st.text())
def test_every_string_survives_a_header(value):
    encoded = encode_header_value(value)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip()
    assert decode_header_value(encoded) == value


@pytest.mark.parametrize("value", ["=?base64?%%?=", "=?base64?QR==?=", "=?base64?/w==?="])
def test_a_malformed_sentinel_matches_nothing(value):
    assert decode_header_value(value) is None


@pytest.mark.parametrize("value", ["é", "a\x00b", "a\x7f", "\x1b[0m", "日本"])
def test_a_value_that_only_base64_may_carry_is_refused_as_it_is(value):
    assert decode_header_value(value) is None
    schema = {"type": "object", "properties": {"s": {"type": "string", "x-mcp-header": "S"}}}
    assert "base64" in validate_param_headers(schema, {"s": value}, {"mcp-param-s": value})
    assert validate_param_headers(schema, {"s": value}, {"mcp-param-s": encode_header_value(value)}) is None
    assert validate_param_headers(schema, {"s": "a\tb"}, {"mcp-param-s": "a\tb"}) is None


def test_plain_values_travel_as_they_are():
    assert encode_header_value("echo") == "echo"
    assert decode_header_value("echo") == "echo"
    assert decode_header_value(None) is None
    assert encode_header_value(" echo").startswith("=?base64?")
    assert encode_header_value("=?base64?x?=") == "=?base64?PT9iYXNlNjQ/eD89?="


def test_the_name_bearing_methods_are_those_of_the_revision():
    tasks = {"tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}  # the extension of SEP-2663
    assert dict(NAME_BEARING) == {**inbound.NAME_BEARING_METHODS, **tasks}


def test_arguments_are_mirrored_with_their_paths():
    arguments = {"region": "eu", "count": 3, "dry": True, "where": {"zone": "ä"}, "free": "x"}
    assert param_headers(x_mcp_header_map(SCHEMA), arguments) == {
        "Mcp-Param-Region": "eu",
        "Mcp-Param-Count": "3",
        "Mcp-Param-Dry": "true",
        "Mcp-Param-Zone": "=?base64?w6Q=?=",
    }
    assert param_headers(x_mcp_header_map(SCHEMA), {"region": None, "where": "none"}) == {}


@given(ARGUMENTS)
def test_what_we_mirror_is_what_the_reference_mirrors_and_both_accept(arguments):
    ours = param_headers(x_mcp_header_map(SCHEMA), arguments)
    assert ours == inbound.mcp_param_headers(inbound.x_mcp_header_map(SCHEMA), arguments)
    assert validate_param_headers(SCHEMA, arguments, ours) is None
    assert inbound.validate_mcp_param_headers(SCHEMA, arguments, ours) is None


@given(ARGUMENTS, ARGUMENTS)
def test_our_verdict_on_foreign_headers_is_that_of_the_reference(arguments, others):
    headers = param_headers(x_mcp_header_map(SCHEMA), others)
    ours = validate_param_headers(SCHEMA, arguments, headers)
    reference = inbound.validate_mcp_param_headers(SCHEMA, arguments, headers)
    assert (ours is None) == (reference is None)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "missing"),
        ({"Mcp-Param-Region": "us"}, "does not match"),
        ({"Mcp-Param-Region": "=?base64?%?="}, "malformed"),
        ({"Mcp-Param-Region": "eu", "mcp-param-count": "1"}, "is absent"),
        ([("mcp-param-region", "eu"), ("Mcp-Param-Region", "eu")], "more than once"),
    ],
)
def test_a_disagreement_is_told_with_the_header_and_the_argument(headers, text):
    problem = validate_param_headers(SCHEMA, {"region": "eu"}, headers)
    assert problem is not None
    assert text in problem
    assert "Mcp-Param-" in problem


def test_integers_compare_as_numbers_and_huge_ones_exactly():
    huge = 2**70
    assert validate_param_headers(SCHEMA, {"count": 42.0}, {"mcp-param-count": "42"}) is None
    assert validate_param_headers(SCHEMA, {"count": 42}, {"mcp-param-count": "42.00"}) is None
    assert validate_param_headers(SCHEMA, {"count": huge}, {"mcp-param-count": str(huge)}) is None
    assert validate_param_headers(SCHEMA, {"count": huge}, {"mcp-param-count": str(huge + 1)})
    assert validate_param_headers(SCHEMA, {"count": 42}, {"mcp-param-count": "42.5"})


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "A", "type": "string"},
        {"properties": {"a": {"type": "string", "x-mcp-header": 7}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": ["string"], "x-mcp-header": "A"}}},
        {"properties": {"a": {"x-mcp-header": "A"}}},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"},
            }
        },
        {"properties": {"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}]}}},
        {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
        {"items": {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}},
    ],
)
def test_annotations_against_the_rules_are_found_as_the_reference_finds_them(schema):
    assert find_invalid_x_mcp_header(schema)
    assert inbound.find_invalid_x_mcp_header(schema)
    assert validate_param_headers(schema, {"a": "x"}, {}) is None


def test_annotations_inside_data_are_no_annotations():
    schema = {"properties": {"a": {"type": "object", "default": {"x-mcp-header": 1}, "enum": [{"x-mcp-header": 1}]}}}
    assert find_invalid_x_mcp_header(schema) is None
    assert find_invalid_x_mcp_header(SCHEMA) is None
    assert find_invalid_x_mcp_header(None) is None
    assert x_mcp_header_map(None) == {}
