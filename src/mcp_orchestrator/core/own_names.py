"""A call's parameters with the backend's own name in the one place where its method has one."""

from __future__ import annotations

from typing import Any, Final

from mcp_orchestrator.model.call import Call, CallKind
from mcp_orchestrator.model.plan import Target

_NAMING: Final = ("name", "uri", "taskId")


def own_params(params: dict[str, Any], call: Call, target: Target) -> dict[str, Any]:
    """`params` with the target's own name where the client wrote the public one; the same object when it is nowhere.

    And with the target's own arguments, where they are not the client's.
    """
    if target.arguments is not None:
        return {**params, "name": target.name, "arguments": target.arguments}
    if call.kind is CallKind.COMPLETION:
        key = "uri" if params["ref"].get("type") == "ref/resource" else "name"
        return {**params, "ref": {**params["ref"], key: target.name}}
    offer = target.offer
    # A method that we do not know has no name of its own: it goes where one of its parameters names something listed.
    public = (call.name,) if call.kind is not CallKind.EXTENSION else (offer.public, offer.dotted) if offer else ()
    for key in _NAMING:
        if params.get(key) in public:
            return {**params, key: target.name}
    return params
