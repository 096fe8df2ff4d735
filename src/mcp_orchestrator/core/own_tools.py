"""The gateway's own tools for delegation: their definitions as clients see them, made from what the rules allow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.model.agent import AgentSpec

_RUN: Final = {"type": "string", "description": "The run, as delegate or run_list told it."}
_ACTIONS: Final = ["accept", "decline", "cancel"]
SEES: Final = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
_ACTS: Final = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": False}


@dataclass(frozen=True, slots=True)
class Own:
    """One tool of ours: the wire definition without the output schema."""

    name: str
    title: str
    description: str
    properties: Mapping[str, Any]
    required: Sequence[str]
    annotations: Mapping[str, bool]

    def definition(self) -> dict[str, Any]:
        """The object of `tools/list`."""
        schema = {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema,
            "annotations": {"title": self.title, **self.annotations},
        }


def definitions(agents: Sequence[AgentSpec], wait: float, labels: Collection[str] = ()) -> tuple[dict[str, Any], ...]:
    """The tools as they are when these agents may be delegated to; `wait` is the default of `delegate`, in seconds.

    `labels` are those that routes ask for, besides those that agents have.

    Without any agent there are still the tools for runs that were delegated before.
    """
    tools = (_delegate(agents, wait, labels), *_RUN_TOOLS) if agents else _RUN_TOOLS
    return tuple(tool.definition() for tool in tools)


def instructions(agents: Sequence[AgentSpec]) -> str:
    """What a client's model should know about delegation, in a few lines (some clients search in this text)."""
    return (
        "delegate gives a piece of work to another coding agent "
        f"({', '.join(spec.name for spec in agents)}) and returns its result, or a run to ask about later: "
        "run_status, run_answer (questions the agent asks), run_changes and run_apply (what it changed), run_cancel, "
        "run_list."
    )


def _delegate(agents: Sequence[AgentSpec], wait: float, routed: Collection[str]) -> Own:
    lines = [_line(spec) for spec in agents]
    labels = sorted({label for spec in agents for label in spec.labels} | set(routed))
    properties: dict[str, Any] = {
        "task": {
            "type": "string",
            "minLength": 1,
            "description": "What is to be done, in full: the agent sees nothing of this conversation.",
        },
        "agent": {
            "type": "string",
            "enum": [spec.name for spec in agents],
            "description": "Which agent; left out, the routes of the gateway or else the labels decide.\n"
            + "\n".join(lines),
        },
        "labels": {
            "type": "array",
            "items": {"type": "string"} | ({"enum": labels} if labels else {}),
            "description": "What the agent must be good for, when no agent is named.",
        },
        "context": {"type": "string", "description": "The piece of work that this belongs to, as a name of yours."},
        "workspace": {
            "type": "string",
            "description": "An absolute directory, mostly a git repository. The agent works in a copy of it.",
        },
        "mode": {
            "type": "string",
            "enum": ["read", "write"],
            "default": "read",
            "description": "read: nothing it changes is kept. write: its changes wait for run_changes and run_apply.",
        },
        "outputSchema": {
            "type": "object",
            "description": "A JSON Schema; the answer is then also given as checked JSON in `structured`.",
        },
        "budget": {
            "type": "object",
            "properties": {
                "usd": {"type": "number", "exclusiveMinimum": 0, "description": "Money, where the agent tells it."},
                "turns": {"type": "integer", "minimum": 1, "description": "Rounds of its model."},
                "minutes": {"type": "number", "exclusiveMinimum": 0, "description": "Time that it works."},
            },
            "additionalProperties": False,
            "description": "The most that this run may use.",
        },
        "wait": {
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "description": f"Seconds to wait for the end ({wait:g} when left out); then you get the run to ask about.",
        },
    }
    description = (
        "Give a piece of work to another coding agent and get its result. Questions that it asks come to the user. "
        "When it takes longer than `wait`, the result names a `run`: ask run_status about it."
    )
    annotations = {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": False, "openWorldHint": True}
    return Own("delegate", "Delegate to an agent", description, properties, ["task"], annotations)


def _line(spec: AgentSpec) -> str:
    labels = f" [{', '.join(spec.labels)}]" if spec.labels else ""
    return f"- {spec.name}{labels}: {spec.description or spec.kind.value}"


_RUN_TOOLS: Final = (
    Own(
        "run_list",
        "List runs",
        "Your delegated runs, the newest first.",
        {
            "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 20},
            "open": {"type": "boolean", "description": "Only those that have not ended."},
        },
        [],
        SEES,
    ),
    Own(
        "run_status",
        "Status of a run",
        "How a delegated run stands: status, what the agent said and did last, its open question, usage and cost.",
        {
            "run": _RUN,
            "wait": {
                "type": "number",
                "minimum": 0,
                "maximum": 3600,
                "description": "Seconds to wait for its end or a question.",
            },
        },
        ["run"],
        SEES,
    ),
    Own(
        "run_answer",
        "Answer a question of a run",
        "Answer what the agent of a run asks. Only with what the user has decided: a permission is the user's to give.",
        {
            "run": _RUN,
            "question": {"type": "string", "description": "Which question; may be left out when one is open."},
            "action": {"type": "string", "enum": _ACTIONS, "default": "accept"},
            "option": {"type": "string", "description": "The chosen option of a question with options."},
            "content": {"type": "object", "description": "The fields of a form."},
        },
        ["run"],
        _ACTS,
    ),
    Own(
        "run_cancel",
        "Cancel a run",
        "Stop the agent of a run.",
        {"run": _RUN},
        ["run"],
        _ACTS | {"idempotentHint": True},
    ),
    Own(
        "run_changes",
        "Changes of a run",
        "What the agent changed in its copy of the workspace: files and diff. Nothing is applied.",
        {"run": _RUN},
        ["run"],
        SEES,
    ),
    Own(
        "run_apply",
        "Apply the changes of a run",
        "Bring the agent's changes into the workspace: all of them, or none and the conflicting files named.",
        {"run": _RUN},
        ["run"],
        {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
    ),
)
