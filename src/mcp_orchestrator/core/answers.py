"""A person's answer to a question as the server expects it: an action, and what a form asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.model.conversation import ACTIONS, Answer, Question


def is_for_people(question: Question) -> bool:
    """Whether a person can answer: elicitation. Sampling wants a model, and roots are the client's own."""
    return question.method == "elicitation/create"


def answer_of(
    question: Question, action: str, *, content: Mapping[str, Any] | None = None, option: str | None = None, by: str
) -> Answer:
    """The answer to an elicitation. `option` fills in the one field of a form that is a choice.

    Fields that are left out get the default of the form.

    Raises:
        ValueError: it does not fit the question; the text tells a person how to mend it.
    """
    if action not in ACTIONS:
        raise ValueError(f"the action is one of {', '.join(ACTIONS)}")
    if action != "accept":
        if content is not None or option is not None:
            raise ValueError(f"{action} takes neither fields nor an option")
        return Answer({"action": action}, by=by)
    if question.params.get("mode") == "url":
        if content is not None or option is not None:
            raise ValueError(
                "an address to visit takes neither fields nor an option: accept says that it may be opened"
            )
        return Answer({"action": action}, by=by)
    schema = question.params.get("requestedSchema")
    schema = schema if isinstance(schema, Mapping) else {}
    filled = {**_defaults(schema), **(content or {}), **(_chosen(schema, option) if option is not None else {})}
    faults = Checker(schema).faults(filled)
    if faults:
        raise ValueError(f"the answer does not fit the form: {'; '.join(faults)}")
    return Answer({"action": action, "content": filled}, by=by)


def choices(schema: Any) -> list[Any]:
    """The values of a field that is a choice of one: `enum`, or `oneOf` with titles; [] for every other field."""
    if not isinstance(schema, Mapping) or schema.get("type") == "array":
        return []
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    titled = schema.get("oneOf")
    return [one["const"] for one in titled if "const" in one] if isinstance(titled, list) else []


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = schema.get("properties")
    return fields if isinstance(fields, Mapping) else {}


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: field["default"]
        for name, field in _fields(schema).items()
        if isinstance(field, Mapping) and "default" in field
    }


def _chosen(schema: Mapping[str, Any], option: str) -> dict[str, Any]:
    found = {name: choices(field) for name, field in _fields(schema).items() if choices(field)}
    if len(found) != 1:
        raise ValueError(f"an option fits forms with one choice; this one has {len(found)}: give the fields as JSON")
    ((name, values),) = found.items()
    if option not in values:
        raise ValueError(f"no option '{option}'; there are: {', '.join(str(value) for value in values)}")
    return {name: option}
