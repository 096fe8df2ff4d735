"""Reads parts of a file that may be any value: schemas, constants, defaults."""

from __future__ import annotations

from typing import Any

from mcp_orchestrator.config.document import Listing, Node, Scalar, Table
from mcp_orchestrator.config.references import References


def read_value(node: Node, references: References) -> Any:
    """The node as plain JSON; references to the environment are filled in, problems noted."""
    if isinstance(node, Scalar):
        if "${" not in node.text:
            return node.value
        filled = references.fill(node)
        return node.text if filled is None else filled.text
    if isinstance(node, Listing):
        return [read_value(item, references) for item in node.items]
    return {key: read_value(entry.value, references) for key, entry in node.entries.items()}


def tables_of(node: Node | None) -> list[Table]:
    """The tables in a list; [] for anything else."""
    return [item for item in node.items if isinstance(item, Table)] if isinstance(node, Listing) else []


def inner(node: Node | None, *path: str) -> Node | None:
    """What lies at the end of a path of table keys, None where it leads nowhere."""
    for key in path:
        node = node.get(key) if isinstance(node, Table) else None
    return node
