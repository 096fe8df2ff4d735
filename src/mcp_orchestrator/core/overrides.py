"""Overrides of a server's tool: the definition that clients see, and their arguments mapped back to the server's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.model.routing import ArgumentOverride, Override


def overridden(definition: Mapping[str, Any], override: Override) -> Mapping[str, Any]:
    """The definition of a tool as the override leaves it, under the server's own name; the same object if nothing changes."""
    changed = dict(definition)
    if override.title:
        changed["title"] = override.title
    if override.description:
        changed["description"] = override.description
    if override.annotations:
        own = definition.get("annotations")
        changed["annotations"] = {**(own if isinstance(own, Mapping) else {}), **override.annotations}
    if override.arguments:
        schema = definition.get("inputSchema")
        changed["inputSchema"] = schema_for(schema if isinstance(schema, Mapping) else {}, override.arguments)
    return changed if changed != definition else definition


def schema_for(schema: Mapping[str, Any], rules: Mapping[str, ArgumentOverride]) -> dict[str, Any]:
    """The input schema that clients see: without fixed and hidden arguments, renamed ones under their new names."""
    properties = schema.get("properties")
    shown: dict[str, Any] = {}
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        rule = rules.get(name)
        if rule is None:
            shown[name] = part
        elif not _unseen(rule):
            shown[rule.rename or name] = _described(part, rule)
    changed = {**schema, "properties": shown}
    required = schema.get("required")
    if isinstance(required, list):
        changed["required"] = [_shown(name, rules) for name in required if not _settled(rules.get(name))]
    dependent = schema.get("dependentRequired")
    if isinstance(dependent, Mapping):
        changed["dependentRequired"] = {
            _shown(name, rules): [_shown(one, rules) for one in needs if not _settled(rules.get(one))]
            for name, needs in dependent.items()
            if isinstance(needs, list) and not _settled(rules.get(name))
        }
    return changed


def _described(part: Any, rule: ArgumentOverride) -> Any:
    if not isinstance(part, Mapping):
        return part
    more: dict[str, Any] = {"description": rule.description} if rule.description else {}
    if rule.default:
        more["default"] = rule.default[0]
    return {**part, **more} if more else part


def _unseen(rule: ArgumentOverride) -> bool:
    return rule.hide or bool(rule.const)


def _settled(rule: ArgumentOverride | None) -> bool:
    """Whether the caller need not give the argument."""
    return rule is not None and (_unseen(rule) or bool(rule.default))


def _shown(name: str, rules: Mapping[str, ArgumentOverride]) -> str:
    rule = rules.get(name)
    return rule.rename if rule is not None and rule.rename else name


class Back:
    """Maps the arguments of a client back to those of the server.

    Own names of renamed, hidden and fixed arguments are not taken from the client: what is fixed stays so.
    """

    __slots__ = ("_const", "_default", "_given", "_own")

    def __init__(self, rules: Mapping[str, ArgumentOverride]) -> None:
        self._own = {rule.rename: name for name, rule in rules.items() if rule.rename and not _unseen(rule)}
        self._given = {name for name, rule in rules.items() if _unseen(rule) or rule.rename} - self._own.keys()
        self._const = {name: rule.const[0] for name, rule in rules.items() if rule.const}
        self._default = {name: rule.default[0] for name, rule in rules.items() if rule.default and not rule.const}

    def __call__(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that the server gets."""
        own, dropped = self._own, self._given
        sent = {own.get(name, name): value for name, value in arguments.items() if name not in dropped}
        for name, value in self._default.items():
            if sent.get(name) is None:  # clients write null for what they leave out
                sent[name] = value
        sent.update(self._const)
        return sent
