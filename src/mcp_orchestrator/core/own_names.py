"""A call's parameters with the backend's own name in the one place where its method has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NAMING: Final = ("name", "uri", "taskId")


def own_params(params: dict[str, Any], public: str, own: str) -> dict[str, Any]:
    """`params` with `own` where the client wrote `public`; the same object when it is nowhere."""
    reference = params.get("ref")
    if isinstance(reference, Mapping):
        key = "uri" if reference.get("type") == "ref/resource" else "name"
        return {**params, "ref": {**reference, key: own}}
    for key in _NAMING:
        if params.get(key) == public:
            return {**params, key: own}
    return params
