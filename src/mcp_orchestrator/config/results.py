"""Reads what the configuration says of large results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.model.results import Bound, ResultsSpec


def read_results(checked: Mapping[str, Any]) -> ResultsSpec:
    """The section `results`."""
    more = {key: checked[key] for key in ("keep", "space") if key in checked}
    tools = tuple((pattern, read_bound(values)) for pattern, values in checked.get("tools", {}).items())
    return ResultsSpec(read_bound(checked.get("inline", {})), tools, **more)


def read_bound(checked: Mapping[str, Any]) -> Bound:
    """One bound; what is not there is none."""
    return Bound(checked.get("bytes"), checked.get("items"), checked.get("lines"))
