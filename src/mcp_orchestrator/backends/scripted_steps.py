"""How each step of an agent's script is played."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.agent_script import Step
from mcp_orchestrator.backends.gateway_calls import GatewayCalls
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.agent import (
    AgentMode,
    AgentOpening,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    FileChange,
    Planned,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
    Used,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError

POLL: Final = 0.05
"""Seconds between two looks at whether a file is there that a script waits for."""

SETTLE: Final = 0.2
"""Seconds in which an interruption follows the cancellation of its open questions."""

_MICRO: Final = 1_000_000
_SLOT: Final = re.compile(r"\{\{\s*(prompt|result|answer(?:\.[^}\s]+)?)\s*\}\}")
_Result = TypeVar("_Result")


class CutError(Exception):
    """The turn is over before its script is; the text says why."""


class Cut:
    """What ends a turn early: an interruption, the end of the session, or a step `crash`."""

    def __init__(self) -> None:
        self.interrupted = asyncio.Event()
        self.closed = asyncio.Event()
        self.crashed = False
        self.why = ""

    def close(self, why: str) -> None:
        """The session is over; the first reason stays."""
        self.why = self.why or why
        self.closed.set()

    async def race(self, work: Coroutine[Any, Any, _Result], *, deaf: bool = False) -> _Result:
        """Do something that may take long. With `deaf`, only the end of the session breaks it off.

        Raises:
            CutError: it was broken off.
        """
        working = asyncio.ensure_future(work)
        ends = [asyncio.ensure_future(event.wait()) for event in self._events(deaf=deaf)]
        waited: set[asyncio.Future[Any]] = {working, *ends}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if any(end.done() for end in ends):
                self.check()
            return working.result()
        finally:
            for one in waited:
                one.cancel()
            await asyncio.gather(*waited, return_exceptions=True)

    def check(self) -> None:
        """Raise CutError if the turn is to end now."""
        if self.closed.is_set() or self.interrupted.is_set():
            raise CutError(f"its session is over: {self.why}" if self.closed.is_set() else "it was interrupted")

    def _events(self, *, deaf: bool) -> list[asyncio.Event]:
        return [self.closed] if deaf else [self.closed, self.interrupted]


@dataclass(slots=True)
class Round:
    """One turn being played: what it was given, and what came of it so far."""

    turn: Turn
    talk: AgentTalk
    text: str = ""
    did: bool = False
    usage: AgentUsage = field(default_factory=AgentUsage)
    result: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    messages: int = 0
    calls: int = 0
    ended: Ended | None = None

    def filled(self, value: Any) -> Any:
        """A value of the script with `{{prompt}}`, `{{result}}`, `{{answer}}` and `{{answer.FIELD}}` filled in."""
        if isinstance(value, str):
            return _SLOT.sub(lambda found: self._slot(found[1]), value)
        if isinstance(value, list):
            return [self.filled(one) for one in value]
        if isinstance(value, dict):
            return {key: self.filled(one) for key, one in value.items()}
        return value

    def _slot(self, name: str) -> str:
        if name == "prompt":
            return self.turn.prompt
        if name == "result":
            return self.result
        if name == "answer":
            return json.dumps(dict(self.answer), ensure_ascii=False)
        value = self.answer.get(name.removeprefix("answer."), "")
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Player:
    """Plays the steps of one session."""

    def __init__(self, agent: str, directory: Path, opening: AgentOpening, cut: Cut) -> None:
        self._agent = agent
        self._directory = directory
        self._opening = opening
        self._cut = cut
        self._gateway: GatewayCalls | None = None

    async def play(self, step: Step, played: Round) -> None:
        """Play one step, and after a question the steps of its answer.

        Raises:
            CutError: the turn is over.
        """
        self._cut.check()
        raw = json.dumps({step.kind: step.value}, ensure_ascii=False)
        value = played.filled(step.value)
        match step.kind:
            case "ask":
                await self._ask(step, value, played, raw)
            case "call":
                await self._call(value, played, raw)
            case "pause":
                await self._cut.race(asyncio.sleep(value))
            case "wait":
                await self._cut.race(_there(self._directory / value["until"]))
            case "hang":
                await self._cut.race(asyncio.Event().wait(), deaf=True)
            case "crash":
                self._cut.crashed = True
                raise CutError("its script has a step crash")
            case "end":
                played.ended = _ended(value, played)
            case "write" | "delete":
                self._change(step.kind, value, played, raw)
            case _:
                _tell(step.kind, value, played, raw)

    async def aclose(self) -> None:
        """Close the connection to the gateway."""
        if self._gateway is not None:
            await self._gateway.aclose()

    async def _ask(self, step: Step, asked: Mapping[str, Any], played: Round, raw: str) -> None:
        question, options = self._question(asked)
        answer = await self._cut.race(played.talk.ask(question, raw))
        result = answer.result or {}
        content = result.get("content")
        played.answer = content if isinstance(content, dict) else {}
        played.did = True
        if answer.by == "gateway" and result.get("action") == "cancel":
            # The first half of an interruption: questions are answered before the agent is told to stop.
            await self._cut.race(asyncio.sleep(SETTLE))
        for one in step.then.get(_branch(step, answer, options), ()):
            await self.play(one, played)
            if played.ended is not None:
                return

    def _question(self, asked: Mapping[str, Any]) -> tuple[Question, list[Option]]:
        ((kind, value),) = asked.items()
        if kind == "permission":
            options = [Option(word, allows) for word, allows in value["options"].items()]
            return permission(self._agent, value["what"], value["details"], options), options
        if kind == "form":
            params = {"mode": "form", "message": value["message"], "requestedSchema": value["schema"]}
        else:
            params = {"mode": "url", "elicitationId": "scripted", "message": value["message"], "url": value["url"]}
        return Question("elicitation/create", params), []

    async def _call(self, value: Mapping[str, Any], played: Round, raw: str) -> None:
        played.calls += 1
        attachment = self._opening.attachment
        name, arguments = value["tool"], value.get("arguments", {})
        server = attachment.name if attachment is not None else None
        use = ToolUse(f"call-{played.calls}", name, "mcp", status=ToolStatus.RUNNING, server=server, input=arguments)
        played.talk.event(use, raw)
        played.did = True
        if attachment is None:
            played.result = "this agent was not connected to the gateway"
            failed = ToolUse(use.id, status=ToolStatus.FAILED, output=played.result)
            played.talk.event(failed, raw)
            return
        if self._gateway is None:
            self._gateway = GatewayCalls(attachment, self._agent)
        try:
            result = await self._cut.race(self._gateway.tool(name, arguments, played.talk.ask))
        except BackendError as error:
            played.result = error.message
            played.talk.event(ToolUse(use.id, status=ToolStatus.FAILED, output=error.message), raw)
            return
        played.result = _text_of(result)
        status = ToolStatus.FAILED if result.get("isError") else ToolStatus.COMPLETED
        played.talk.event(ToolUse(use.id, status=status, output=result), json.dumps(result, ensure_ascii=False))

    def _change(self, kind: str, value: Any, played: Round, raw: str) -> None:
        """Write or delete a file of the workspace; what may not be is refused and told."""
        path = value["path"] if kind == "write" else value
        target = self._opening.cwd / path
        if self._opening.mode is not AgentMode.WRITE:
            played.talk.event(Warned(f"{kind} of {path} was refused: this task may only read", "denied"), raw)
            return
        if not target.parent.resolve().is_relative_to(self._opening.cwd.resolve()):
            played.talk.event(Warned(f"{kind} of {path} was refused: it is outside of the workspace", "denied"), raw)
            return
        change = "delete" if kind == "delete" else "update" if target.exists() else "add"
        try:
            if kind == "delete":
                target.unlink()
            else:
                _write(target, value)
        except OSError as error:
            played.talk.event(Warned(f"{kind} of {path} failed: {error.strerror}", "failed"), raw)
            return
        played.did = True
        played.talk.event(FileChange(path, change), raw)


def _branch(step: Step, answer: Answer, options: list[Option]) -> str:
    """The word of the steps that follow an answer: the option or the action, or else `else`."""
    chosen = decision(answer, options) if options else None
    if chosen is not None and chosen in step.then:
        return chosen
    action = str((answer.result or {}).get("action", "cancel"))
    if options and chosen is None and action == "accept":
        action = "cancel"
    return action if action in step.then else "else"


def _tell(kind: str, value: Any, played: Round, raw: str) -> None:
    """The steps that only say something."""
    match kind:
        case "say":
            played.messages += 1
            played.text, played.did = value, True
            played.talk.event(Text(value, f"m{played.messages}"), raw)
        case "think":
            played.talk.event(Thought(value), raw)
        case "warn":
            played.talk.event(Warned(value), raw)
        case "plan":
            entries = [(one, "pending") if isinstance(one, str) else next(iter(one.items())) for one in value]
            played.talk.event(Planned(tuple(entries)), raw)
        case "use":
            cost = value.get("cost")
            played.usage = AgentUsage(
                input_tokens=value.get("input_tokens"),
                output_tokens=value.get("output_tokens"),
                cost=round(cost * _MICRO) if cost is not None else None,
                cost_source=CostSource.REPORTED if cost is not None else CostSource.UNMEASURED,
            )
            played.talk.event(Used(played.usage), raw)
        case _:
            played.calls += 1
            played.did = True
            played.talk.event(
                ToolUse(
                    value.get("id", f"call-{played.calls}"),
                    value["name"],
                    value.get("kind", "other"),
                    value.get("title"),
                    ToolStatus(value.get("status", "completed")),
                    input=value.get("input"),
                    output=value.get("output"),
                ),
                raw,
            )


def _ended(value: Mapping[str, Any], played: Round) -> Ended:
    trouble = value.get("trouble")
    return Ended(
        EndStatus(value.get("status", "completed")),
        value.get("text", played.text),
        value.get("structured"),
        TroubleKind(trouble) if trouble is not None else None,
        value.get("message", ""),
        value.get("retryable", False),
        played.usage,
        evidence="the step end of its script",
    )


def _write(target: Path, value: Mapping[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(value["text"], encoding="utf-8", newline="")
    if value.get("executable"):
        os.chmod(target, 0o755)  # noqa: PTH101, S103 - what the script asks for, in its own workspace


async def _there(path: Path) -> None:
    """Wait until a file is there. Looked for by time: nothing portable tells of a file that appears."""
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - see above; one look at a local file
        await asyncio.sleep(POLL)


def _text_of(result: Mapping[str, Any]) -> str:
    """The text of a tool's result."""
    blocks = result.get("content")
    texts = [str(one.get("text", "")) for one in blocks if isinstance(one, dict)] if isinstance(blocks, list) else []
    return "\n".join(texts)
