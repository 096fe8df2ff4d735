"""What the tools of delegation answer: structured content in one shape, with the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core.answers import choices
from mcp_orchestrator.core.delegating import MICRO, shown_changes, shown_cost, shown_usage, status_word
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.agent import Ended, EndStatus, ToolUse
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.delegation import Changes, Delegated, Tried
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.runtime.delegation import Delegation, OpenQuestion

LAST_TOOLS: Final = 10
_GOOD: Final = frozenset({EndStatus.COMPLETED.value, "working", "queued", "input_required"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool result of ours."""

    structured: Mapping[str, Any]
    text: str
    is_error: bool = False

    def outcome(self) -> Completed:
        """As the wire has it (MCP 2026-07-28 server/tools, call result)."""
        result = {
            "resultType": "complete",
            "content": [{"type": "text", "text": self.text}],
            "structuredContent": dict(self.structured),
        }
        return Completed(encode(result | ({"isError": True} if self.is_error else {})), Era.MODERN)


def refusal(text: str) -> Completed:
    """A call that the model can mend."""
    return Reply({"error": {"message": text}}, text, is_error=True).outcome()


def reply_of(shown: Mapping[str, Any], *, judge: bool) -> Reply:
    """A run as a result; a run that went wrong is an error of the tool, unless its end was asked for (`judge` False)."""
    return Reply(shown, _words(shown), is_error=judge and shown["status"] not in _GOOD)


def shown_run(kept: Delegated, delegation: Delegation | None, changes: Changes | None) -> dict[str, Any]:
    """A run in the shape that `delegate` and `run_status` share."""
    ended = kept.ended
    usage = ended.usage if ended is not None else delegation.total if delegation is not None else kept.usage
    shown: dict[str, Any] = {
        "run": kept.id,
        "agent": kept.agent,
        "status": status_word(kept, asks=delegation is not None and bool(delegation.open)),
        "text": ended.text if ended is not None else delegation.text[-20_000:] if delegation is not None else "",
        "usage": shown_usage(usage),
        "cost": shown_cost(usage),
        "mode": kept.mode.value,
    }
    if ended is not None:
        shown |= _of_the_end(ended)
    if changes is not None:
        shown["changes"] = shown_changes(changes, diff=False)
    if kept.route:
        shown["route"] = kept.route
    if kept.tried:
        shown["tried"] = [_tried(one) for one in kept.tried]
    if kept.native is not None:
        shown["session"] = kept.native
    if kept.context is not None:
        shown["context"] = kept.context
    if delegation is not None:
        shown |= _of_the_living(delegation, ended=ended is not None)
    return shown


def _of_the_end(ended: Ended) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if ended.structured is not None:
        shown["structured"] = ended.structured
    if ended.trouble is not None or ended.message:
        kind = ended.trouble.value if ended.trouble is not None else ended.status.value
        shown["error"] = {"kind": kind, "message": ended.message, "retryable": ended.retryable}
        if ended.resets_at is not None:
            shown["error"]["resetsAt"] = ended.resets_at
    if ended.evidence:
        shown["evidence"] = ended.evidence
    return shown


def _tried(one: Tried) -> dict[str, Any]:
    kind = one.trouble.value if one.trouble is not None else one.status.value
    cost = None if one.cost is None else one.cost / MICRO
    return {"agent": one.agent, "kind": kind, "message": one.message, "usd": cost}


def _of_the_living(delegation: Delegation, *, ended: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if delegation.warnings:
        shown["warnings"] = delegation.warnings[-5:]
    if delegation.tools:
        shown["tools"] = [_tool(one) for one in delegation.tools[-LAST_TOOLS:]]
    if delegation.plan and not ended:
        shown["plan"] = [{"text": text, "status": status} for text, status in delegation.plan]
    if delegation.open:
        shown["question"] = _question(next(iter(delegation.open.values())), delegation.kept.id)
    return shown


def _tool(one: ToolUse) -> dict[str, Any]:
    fields = {"id": one.id, "name": one.name, "kind": one.kind, "title": one.title, "status": one.status}
    return {name: str(value) for name, value in fields.items() if value is not None}


def _question(waiting: OpenQuestion, run: str) -> dict[str, Any]:
    params = waiting.question.params
    schema = params.get("requestedSchema")
    shown: dict[str, Any] = {
        "id": waiting.key,
        "message": params.get("message", waiting.question.method),
        "expiresAt": waiting.expires_at,
        "mayAnswer": ["whoever delegated the run", "the operator of the gateway"],
        "answerWith": f'run_answer {{"run": "{run}", "question": "{waiting.key}", ...}} or, on the gateway\'s machine, '
        f"mcp-orchestrator runs answer {run} {waiting.key}",
    }
    if params.get("url") is not None:
        shown["url"] = params["url"]
    if isinstance(schema, Mapping):
        shown["schema"] = dict(schema)
        fields = schema.get("properties")
        options = [choices(field) for field in fields.values()] if isinstance(fields, Mapping) else []
        if len(options) == 1 and options[0]:
            shown["options"] = options[0]
    return shown


def _words(shown: Mapping[str, Any]) -> str:
    lines = [f"run {shown['run']} of agent {shown['agent']}: {shown['status']}"]
    if "error" in shown:
        lines.append(f"{shown['error']['kind']}: {shown['error']['message']}")
    if shown["text"]:
        lines.append(shown["text"])
    if "changes" in shown:
        files = shown["changes"]["files"]
        lines.append(f"{len(files)} files changed (run_changes shows them, run_apply applies them)" if files else "")
    if "question" in shown:
        question = shown["question"]
        lines.append(f"It asks ({question['id']}): {question['message']}\nAnswer with {question['answerWith']}")
    elif shown["status"] in {"working", "queued"}:
        lines.append(f'It goes on; ask run_status {{"run": "{shown["run"]}", "wait": 45}} how it stands.')
    return "\n".join(line for line in lines if line)
