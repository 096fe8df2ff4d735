"""Resource URIs of several servers in one catalog: kept as they are where unique, qualified where they clash.

URI templates follow RFC 6570 as far as matching an expanded URI back to its template needs.
"""

from __future__ import annotations

import re
from typing import Final

_PREFIX: Final = "mcp://"
_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")


def qualify(server: str, uri: str) -> str:
    """The unambiguous form `mcp://SERVER/URI`."""
    return f"{_PREFIX}{server}/{uri}"


def unqualify(uri: str) -> tuple[str, str] | None:
    """Server and original URI of a qualified one, else None."""
    if not uri.startswith(_PREFIX):
        return None
    server, slash, original = uri[len(_PREFIX) :].partition("/")
    return (server, original) if slash and ":" in original else None


def covers(subscribed: str, uri: str) -> bool:
    """Whether an update of `uri` concerns whoever subscribed to `subscribed`: it is that resource or a part of it.

    Servers may tell of parts by URIs of their own (MCP 2025-11-25 server/resources, resource updated notification).
    """
    if not uri.startswith(subscribed):
        return False
    return len(uri) == len(subscribed) or subscribed.endswith("/") or uri[len(subscribed)] in "/#?"


def template_pattern(template: str) -> tuple[re.Pattern[str], int]:
    """A pattern that matches expansions of `template`, and how many literal characters it holds.

    The literal count ranks templates: of two that match, the one that says more wins. Patterns have no nested
    repetition, so matching is linear enough for untrusted templates.
    """
    parts: list[str] = []
    literal = 0
    position = 0
    for match in _EXPRESSION.finditer(template):
        text = template[position : match.start()]
        literal += len(text)
        parts.append(re.escape(text))
        parts.append(_expression_pattern(match.group(1)))
        position = match.end()
    tail = template[position:]
    parts.append(re.escape(tail))
    return re.compile("".join(parts), re.DOTALL), literal + len(tail)


def _expression_pattern(operator: str) -> str:
    match operator:
        case "+":
            return r".+"
        case "#":
            return r"(?:#.*)?"
        case "." | "/" | ";":
            return rf"(?:{re.escape(operator)}[^?#]*)?"
        case "?" | "&":
            return rf"(?:[{re.escape(operator)}?&][^#]*)?"
        case _:
            return r"[^/?#]*"
