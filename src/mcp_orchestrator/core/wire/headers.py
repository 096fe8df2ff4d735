"""The header rules of modern streamable HTTP, shared by both sides (MCP 2026-07-28 basic/transports).

`Mcp-Method` and `Mcp-Name` mirror the body for intermediaries; `Mcp-Param-*` mirror arguments whose schema property
carries `x-mcp-header`. A value that would not survive a header field travels as `=?base64?...?=`. The same functions
build and check the headers, so that both sides agree by construction.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

PROTOCOL_VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
SESSION_HEADER: Final = "mcp-session-id"
PARAM_PREFIX: Final = "Mcp-Param-"
ANNOTATION: Final = "x-mcp-header"

NAME_BEARING: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method to the parameter whose value travels as `Mcp-Name` (for tasks: MCP extension tasks, routing headers)."""

Path = tuple[str, ...]
"""The chain of `properties` keys from the root of a schema to one property."""

_SENTINEL: Final = re.compile(r"=\?base64\?(.*)\?=")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]*")
_CARRIED: Final = re.compile(r"[\t\x20-\x7e]*")  # what the section "Value Encoding" lets a header hold as it is
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ALLOWED_TYPES: Final = frozenset({"string", "integer", "boolean"})

# Every keyword of JSON Schema 2020-12 whose value holds schemas, by the shape of that value. `properties` is apart: it
# alone keeps a position addressable by a path. Data keywords (default, const, enum, examples) and $ref are left out.
_ONE_SCHEMA: Final = frozenset(
    {
        "items",
        "contains",
        "unevaluatedItems",
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
        "contentSchema",
    }
)
_LIST_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAP_OF_SCHEMAS: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})


def encode_header_value(value: str) -> str:
    """`value` as a header field carries it: verbatim if visible ASCII without edge blanks, else in base64."""
    if _VISIBLE.fullmatch(value) and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode('ascii')}?="


def decode_header_value(value: str | None) -> str | None:
    """The inverse of `encode_header_value`.

    None stays None. A malformed sentinel is None, so that it matches nothing, and so is a value with characters that
    only base64 may carry.
    """
    if value is None or not _CARRIED.fullmatch(value):
        return None
    sentinel = _SENTINEL.fullmatch(value)
    if sentinel is None:
        return value
    payload = sentinel.group(1)
    try:
        decoded = base64.b64decode(payload, validate=True)
        # Bits that base64 ignores would give one name many spellings: only the canonical one counts.
        return decoded.decode() if base64.b64encode(decoded).decode("ascii") == payload else None
    except (binascii.Error, ValueError):
        return None


def find_invalid_x_mcp_header(schema: Any) -> str | None:
    """Why the `x-mcp-header` annotations of an input schema break the rules, or None.

    An annotation is valid on a string, integer or boolean property that a chain of `properties` keys reaches from the
    root; its value is an RFC 9110 token that is unique in the schema without regard to case. Modern clients drop a
    tool that breaks this.
    """
    seen: dict[str, str] = {}
    for path, position in _positions(schema):
        if ANNOTATION not in position:
            continue
        if not path:
            return f"{ANNOTATION} stands at a schema position that no chain of properties reaches"
        where = ".".join(path)
        token = position[ANNOTATION]
        if not isinstance(token, str):
            return f"property {where!r}: {ANNOTATION} must be a string, not {type(token).__name__}"
        if not _TOKEN.fullmatch(token):
            return f"property {where!r}: {ANNOTATION} {token!r} is not a header token (RFC 9110)"
        declared = position.get("type")
        if not isinstance(declared, str) or declared not in _ALLOWED_TYPES:
            return f"property {where!r}: {ANNOTATION} is for one of the types string, integer, boolean"
        if token.lower() in seen:
            return f"{ANNOTATION} {token!r} of property {where!r} is already used by {seen[token.lower()]!r}"
        seen[token.lower()] = where
    return None


def x_mcp_header_map(schema: Any) -> dict[Path, str]:
    """Path of each annotated property to its token. Only for schemas that `find_invalid_x_mcp_header` accepts."""
    return {path: token for path, token, _ in _annotated(schema)}


def param_headers(header_map: Mapping[Path, str], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The `Mcp-Param-*` headers of one call, values encoded. Absent and null arguments have no header."""
    headers: dict[str, str] = {}
    for path, token in header_map.items():
        rendered = _render(_at(arguments, path))
        if rendered is not None:
            headers[PARAM_PREFIX + token] = encode_header_value(rendered)
    return headers


def validate_param_headers(
    schema: Any, arguments: Mapping[str, Any], headers: Mapping[str, str] | Iterable[tuple[str, str]]
) -> str | None:
    """Why the `Mcp-Param-*` headers of a request disagree with its arguments (error -32020), or None.

    Each annotated argument and its header must be present together and equal, or absent together. A header sent twice
    is refused, as readers of the first and of the last copy would disagree: pass pairs rather than a mapping if the
    transport can repeat a name. A schema with invalid annotations checks nothing, since no client mirrors it.
    """
    if find_invalid_x_mcp_header(schema) is not None:
        return None
    sent: dict[str, list[str]] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        sent.setdefault(name.lower(), []).append(value)
    for path, token, position in _annotated(schema):
        name = PARAM_PREFIX + token
        values = sent.get(name.lower(), [])
        problem = _disagreement(name, values, ".".join(path), _at(arguments, path), position.get("type"))
        if problem is not None:
            return problem
    return None


def _disagreement(name: str, values: list[str], argument: str, value: Any, declared: Any) -> str | None:
    if len(values) > 1:
        return f"{name} header appears more than once"
    rendered = _render(value)
    if not values:
        return None if rendered is None else f"{name} header is missing but the argument {argument!r} is present"
    if value is None:
        return f"{name} header is present but the argument {argument!r} is absent"
    decoded = decode_header_value(values[0])
    if decoded is None:
        return f"{name} header carries malformed base64 or characters that only base64 may carry"
    if rendered is None or not _same(declared, value, rendered, decoded):
        return f"{name} header does not match the argument {argument!r}"
    return None


def _same(declared: Any, value: Any, rendered: str, decoded: str) -> bool:
    """Integers compare as numbers (`42` is `42.0`), without a detour through floats; all else compares as text."""
    if declared == "integer" and _is_whole(value) and _DECIMAL.fullmatch(decoded):
        whole, _, fraction = decoded.partition(".")
        try:
            return not fraction.strip("0") and int(whole) == int(value)
        except ValueError:  # more digits than CPython converts
            return False
    return decoded == rendered


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _render(value: Any) -> str | None:
    """A scalar as text, or None when it has no header form (null, arrays, objects, absurdly long integers)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    try:
        return str(value)
    except ValueError:
        return None


def _at(arguments: Any, path: Path) -> Any:
    node = arguments
    for key in path:
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def _annotated(schema: Any) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    for path, position in _positions(schema):
        token = position.get(ANNOTATION)
        if path and isinstance(token, str):
            yield path, token, position


def _positions(root: Any) -> Iterator[tuple[Path | None, Mapping[str, Any]]]:
    """Every schema position with its path, None once another keyword than `properties` was crossed.

    An explicit stack keeps this total for any depth; `$ref` is not followed, so it ends on any finite value.
    """
    stack: list[tuple[Path | None, Any]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, Mapping):
            continue
        yield path, node
        for keyword, value in node.items():
            if keyword == "properties" and isinstance(value, Mapping):
                stack.extend((None if path is None else (*path, name), sub) for name, sub in value.items())
            elif keyword in _ONE_SCHEMA:
                stack.append((None, value))
            elif keyword in _LIST_OF_SCHEMAS and isinstance(value, list):
                stack.extend((None, sub) for sub in value)
            elif keyword in _MAP_OF_SCHEMAS and isinstance(value, Mapping):
                stack.extend((None, sub) for sub in value.values())
