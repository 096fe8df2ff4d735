"""Resource URIs inside results, made those by which a client can read them through us; all else stays the bytes it was.

MCP 2025-11-25 and 2026-07-28: `resource_link` and embedded `resource` blocks in the content of tools and prompts, the
`contents` of resources. Blocks without a URI (text, images) are never decoded, whatever their size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.wire.jsonrpc import encode

Public = Callable[[str], str]
"""The public form of a URI of the backend; the same string where nothing changes."""

WORD: Final = b'"resource'
"""Stands in every result that links or embeds a resource: both kinds of block begin with it."""

LOOKED_THROUGH: Final = 64 * 1024
"""Bytes of a result up to which the word is looked for; of a larger tool result the kinds of its blocks are read instead.

That costs 0.23 ms a megabyte, the search 0.4 ms (CPython 3.11, msgspec 0.20, 2026-11-24).
"""

HOLDERS: Final = {
    "tools/call": "content",
    "prompts/get": "messages",
    "resources/read": "contents",
    "tasks/result": "content",
    "tasks/get": "result",
}
"""Method to the member of its result that holds URIs."""

_Fields = dict[str, msgspec.Raw]


class _Block(msgspec.Struct):
    type: str = ""


class _Content(msgspec.Struct):
    content: list[_Block] = []


_content_of: Final = msgspec.json.Decoder(_Content)
_fields: Final = msgspec.json.Decoder(_Fields)
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_LINKS: Final = frozenset({"resource_link", "resource"})
_KINDS: Final = frozenset({b'"resource_link"', b'"resource"'})


def may_link(result: bytes, method: str) -> bool:
    """Whether a result can link or embed a resource; nothing is made of it to find out."""
    if method != "tools/call" or len(result) <= LOOKED_THROUGH:
        return WORD in result
    try:
        return any(block.type in _LINKS for block in _content_of.decode(result).content)
    except (ValueError, RecursionError):
        return WORD in result  # not shaped as a tool's result should be


def relinked(result: bytes, method: str, public: Public) -> bytes:
    """The result with every URI of a resource in its public form; the same object when none of them changes.

    A result that is not shaped as the method says is left alone: whoever reads it judges it.
    """
    holder = HOLDERS.get(method)
    try:
        fields = _fields.decode(result)
        held = fields.get(holder) if holder is not None else None
        if held is None:
            return result
        if method == "tasks/get":  # the result of the tool call that became this task, inlined
            inlined = relinked(bytes(held), "tools/call", public)
            return result if inlined == bytes(held) else encode({**fields, "result": msgspec.Raw(inlined)})
        items = _list.decode(held)
        changed = [_item(item, method, public) for item in items]
    except (ValueError, RecursionError):
        return result
    if all(new is old for new, old in zip(changed, items, strict=True)):
        return result
    return encode({**fields, str(holder): changed})


def _item(item: msgspec.Raw, method: str, public: Public) -> Any:
    match method:
        case "resources/read":
            return _with_uri(item, public)
        case "prompts/get":
            return _within(item, "content", lambda content: _content(content, public))
        case _:
            return _block(item, public)


def _content(content: msgspec.Raw, public: Public) -> Any:
    """The content of a prompt message: one block, or several."""
    if not _begins(content, b"["):
        return _block(content, public)
    blocks = _list.decode(content)
    changed = [_block(block, public) for block in blocks]
    return content if all(new is old for new, old in zip(changed, blocks, strict=True)) else changed


def _block(block: msgspec.Raw, public: Public) -> Any:
    fields = _object(block)
    kind = bytes(fields.get("type", b""))
    if kind not in _KINDS:
        return block
    if kind == b'"resource_link"':
        return _with_uri(block, public)
    return _within(block, "resource", lambda resource: _with_uri(resource, public))


def _with_uri(raw: msgspec.Raw, public: Public) -> Any:
    return _within(raw, "uri", lambda uri: _uri(uri, public))


def _uri(raw: msgspec.Raw, public: Public) -> Any:
    try:
        uri = _text.decode(raw)
    except ValueError:
        return raw
    shown = public(uri)
    return raw if shown == uri else shown


def _within(raw: msgspec.Raw, key: str, change: Callable[[msgspec.Raw], Any]) -> Any:
    """An object with one member changed; the same raw JSON when that does not change."""
    fields = _object(raw)
    member = fields.get(key)
    changed = change(member) if member is not None else None
    return raw if changed is member else {**fields, key: changed}


def _object(raw: msgspec.Raw) -> _Fields:
    return _fields.decode(raw) if _begins(raw, b"{") else {}


def _begins(raw: msgspec.Raw, sign: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == sign
