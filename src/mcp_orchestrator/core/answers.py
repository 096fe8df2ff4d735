"""A person's answer to a question as the server expects it: a form filled in, what a model might say, directories.

MCP 2025-11-25 and 2026-07-28: client/elicitation, client/sampling, client/roots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.translate.questions import NOBODY
from mcp_orchestrator.model.conversation import ACTIONS, Answer, Question

ELICITATION: Final = "elicitation/create"
SAMPLING: Final = "sampling/createMessage"
ROOTS: Final = "roots/list"

_BLOCKS: Final[Mapping[str, Mapping[str, type]]] = {
    "text": {"text": str},
    "image": {"data": str, "mimeType": str},
    "audio": {"data": str, "mimeType": str},
    "tool_use": {"id": str, "name": str, "input": dict},
}
"""Content of a sampling result: the kinds, and the fields that each must have."""


def is_for_people(question: Question) -> bool:
    """Whether a person can answer."""
    return question.method in {ELICITATION, SAMPLING, ROOTS}


def gist(question: Question) -> str:
    """What is asked, in a line: the message of an elicitation, else what kind of answer is wanted."""
    match question.method:
        case "sampling/createMessage":
            return "A server wants a model's answer (sampling)"
        case "roots/list":
            return "A server wants to know which directories it may use (roots)"
        case _:
            return str(question.params.get("message", ""))


def answer_of(
    question: Question, action: str, *, content: Mapping[str, Any] | None = None, option: str | None = None, by: str
) -> Answer:
    """The answer to a question.

    `content` are the fields of a form, the result of a sampling request, or `{"roots": [...]}`. `option` fills in the one
    field of a form that is a choice. Fields that are left out get the default of the form.

    Raises:
        ValueError: it does not fit the question; the text tells a person how to mend it.
    """
    if action not in ACTIONS:
        raise ValueError(f"the action is one of {', '.join(ACTIONS)}")
    if action != "accept" and (content is not None or option is not None):
        raise ValueError(f"{action} takes neither fields nor an option")
    if question.method != ELICITATION and option is not None:
        raise ValueError("an option fits forms with one choice: give the answer as JSON")
    if question.method == SAMPLING:
        if action == "accept":
            return Answer(_sampled(question, content or {}), by=by)
        return Answer(None, NOBODY, "User rejected sampling request", by=by)
    if question.method == ROOTS:
        return Answer(_roots(content or {}) if action == "accept" else {"roots": []}, by=by)
    return _elicited(question, action, content, option, by)


def _elicited(
    question: Question, action: str, content: Mapping[str, Any] | None, option: str | None, by: str
) -> Answer:
    if action != "accept":
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


def _sampled(question: Question, given: Mapping[str, Any]) -> dict[str, Any]:
    """A `CreateMessageResult`; who answers is the assistant, and a person unless another model is named."""
    result = {"role": "assistant", "model": "a person", **given}
    if result["role"] not in {"assistant", "user"} or not isinstance(result["model"], str):
        raise ValueError("the answer of a model has the role assistant (or user) and a model, which is a string")
    content = result.get("content")
    blocks: list[Any] = content if isinstance(content, list) else [content]
    tools = question.params.get("tools")
    known = [one.get("name") for one in tools if isinstance(one, Mapping)] if isinstance(tools, list) else []
    if isinstance(content, list) and not known:
        raise ValueError("content is one block here, no array: the server offers the model no tools")
    for block in blocks:
        _check_block(block, known)
    choice = question.params.get("toolChoice")
    mode = choice.get("mode") if isinstance(choice, Mapping) else None
    uses = any(block["type"] == "tool_use" for block in blocks)
    if (mode == "required" and not uses) or (mode == "none" and uses):
        raise ValueError(
            f"the server says that the use of a tool is {'required' if mode == 'required' else 'forbidden'}"
        )
    if known:
        result.setdefault("stopReason", "toolUse" if uses else "endTurn")
    return result


def _check_block(block: Any, tools: list[Any]) -> None:
    kind = block.get("type") if isinstance(block, Mapping) else None
    fields = _BLOCKS.get(kind) if isinstance(kind, str) else None
    if fields is None or (kind == "tool_use" and not tools):
        raise ValueError(
            'content is a block such as {"type": "text", "text": "..."}: text, image, audio, or an offered tool'
        )
    for name, wanted in fields.items():
        if not isinstance(block.get(name), wanted):
            noun = "an object" if wanted is dict else "a string"
            raise ValueError(f"{name} of a block of type {kind} must be {noun}")  # noqa: TRY004 - the promised kind of error
    if kind == "tool_use" and block["name"] not in tools:
        raise ValueError(f"no tool '{block['name']}'; the server offers: {', '.join(map(str, tools))}")


def _roots(given: Mapping[str, Any]) -> dict[str, Any]:
    roots = given.get("roots")
    if not isinstance(roots, list):
        raise ValueError('the directories are given as {"roots": [{"uri": "file:///a/b"}]}')  # noqa: TRY004 - likewise
    for root in roots:
        uri = root.get("uri") if isinstance(root, Mapping) else None
        if not isinstance(uri, str) or not uri.startswith("file://"):
            raise ValueError("the uri of a root begins with file://")
        if not isinstance(root.get("name", ""), str):
            raise ValueError("the name of a root must be a string")  # noqa: TRY004 - likewise
    return dict(given)


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
