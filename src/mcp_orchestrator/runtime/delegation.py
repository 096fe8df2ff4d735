"""One delegation while it is being carried out: what its agent says, asks and uses, and who waits for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, assert_never

from mcp_orchestrator.core.answers import answer_of
from mcp_orchestrator.core.delegating import added, status_word
from mcp_orchestrator.core.translate.questions import expired
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    FileChange,
    Planned,
    Started,
    Text,
    Thought,
    ToolUse,
    TroubleKind,
    Used,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import EventKind

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

MOST_TEXT: Final = 200_000
"""Characters of what an agent said that are kept at hand; the journal has all of it."""

MOST_TOOLS: Final = 500
MOST_RAW: Final = 64 * 1024
MOST_WARNINGS: Final = 50
MOST_OPEN: Final = 100
"""Questions of one run that may be open at once; further ones are declined."""


_WORDS: Final[Mapping[type[AgentEvent], str]] = {
    Started: "started",
    Text: "text",
    Thought: "thought",
    ToolUse: "tool",
    FileChange: "file",
    Planned: "plan",
    Used: "usage",
    Warned: "warning",
}


@dataclass(slots=True)
class OpenQuestion:
    """A question that waits. Times are seconds since the epoch."""

    key: str
    question: Question
    asked_at: float
    expires_at: float
    answered: asyncio.Future[Answer]


class Delegation:
    """The `AgentTalk` of an agent's session, and what everybody else sees of the run."""

    def __init__(self, kept: Delegated, owner: Delegations, redact: Callable[[str], str]) -> None:
        self.kept = kept
        self._owner = owner
        self._redact = redact
        self._said: deque[str] = deque()
        self._said_length = 0
        self._message = ""
        self._tools: OrderedDict[str, ToolUse] = OrderedDict()
        self.plan: tuple[tuple[str, str], ...] = ()
        self.warnings: list[str] = []
        self.files: dict[str, str] = {}
        self.before = kept.usage
        self.usage = AgentUsage()
        self.open: OrderedDict[str, OpenQuestion] = OrderedDict()
        self.answered: dict[str, str] = {}
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self.stopping = ""
        self.limit: TroubleKind | None = None
        self.stop = asyncio.Event()
        self.waiting_for_people = 0.0
        self._asked = 0
        self._since_waiting: float | None = None
        self._saving = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    # -- AgentTalk ------------------------------------------------------------------------------------------------

    def event(self, event: AgentEvent, raw: str | bytes | None = None) -> None:
        """Note and journal what the agent said or did."""
        self._note(event)
        self._journal(_WORDS[type(event)], _fields(event), raw)
        self.stir()
        if isinstance(event, Used):
            self._owner.used(self)

    async def ask(self, question: Question, raw: str | bytes | None = None) -> Answer:
        """Put a question to whoever may answer; the answer of the first counts.

        What the agent of an agent asks goes up to the caller of the first: a model does not answer for a person.
        """
        if len(self.open) >= MOST_OPEN or self.stop.is_set():
            return expired(question)
        waiting = self._opened(question, raw)
        parent = self._owner.parent_of(self.kept)
        relay = asyncio.ensure_future(self._relayed(parent, waiting)) if parent is not None else None
        try:
            async with asyncio.timeout(self._owner.engine.question_expiry):
                answer = await waiting.answered
        except TimeoutError:
            answer = expired(question)
        finally:
            if relay is not None:
                relay.cancel()
            self._closed(waiting)
        self.answered[waiting.key] = answer.by
        data = {"method": question.method, "question": waiting.key, "by": answer.by, **_outline(answer)}
        self._owner.engine.record(EventKind.QUESTION_ANSWERED, self.kept.id, data)
        return answer

    def _opened(self, question: Question, raw: str | bytes | None) -> OpenQuestion:
        self._asked += 1
        key = f"q{self._asked}"
        now, loop = self._owner.engine.now(), asyncio.get_running_loop()
        waiting = OpenQuestion(key, question, now, now + self._owner.engine.question_expiry, loop.create_future())
        self.open[key] = waiting
        if self._since_waiting is None:
            self._since_waiting = loop.time()
        shown = {"method": question.method, "question": key, "message": str(question.params.get("message", ""))}
        self._owner.engine.record(EventKind.QUESTION_ASKED, self.kept.id, self._clean(shown))
        if raw is not None:
            self._journal("question", {"question": key}, raw)
        self._owner.tell_question(self, waiting)
        self.stir()
        return waiting

    def _closed(self, waiting: OpenQuestion) -> None:
        self.open.pop(waiting.key, None)
        if not self.open and self._since_waiting is not None:
            self.waiting_for_people += asyncio.get_running_loop().time() - self._since_waiting
            self._since_waiting = None
        self.stir()

    async def _relayed(self, parent: Delegation, waiting: OpenQuestion) -> None:
        params = waiting.question.params
        said = f"(run {self.kept.id}, to which {parent.kept.agent} has delegated) {params.get('message', '')}"
        self.give(waiting.key, await parent.ask(replace(waiting.question, params={**params, "message": said})))

    async def bound(self, session: str, turn: str | None = None) -> None:
        """Keep the agent's session and turn, durably."""
        if (self.kept.native, self.kept.turn) != (session, turn) or self.kept.state is not DelegationState.WORKING:
            await self.save(native=session, turn=turn, state=DelegationState.WORKING)
            self._owner.engine.record(EventKind.DELEGATION_BOUND, self.kept.id, {"session": session, "turn": turn})

    # -- state ----------------------------------------------------------------------------------------------------

    async def save(self, **changes: Any) -> None:
        """Keep the delegation with these changes; returns once that is durable. Raises OSError."""
        async with self._saving:
            self.kept = replace(self.kept, **changes, updated=self._owner.engine.now())
            await self._owner.store.save(self.kept)

    def keep_usage(self) -> None:
        """Keep what was used so far: it stays spent, whatever happens next. At most one write is under way."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.ensure_future(self._keep_usage())

    async def _keep_usage(self) -> None:
        if self.kept.ended is None and self.total != self.kept.usage:
            try:
                await self.save(usage=self.total)
            except OSError as error:
                self._owner.engine.log.error("what a run used could not be kept", run=self.kept.id, error=str(error))  # noqa: TRY400

    def stir(self) -> None:
        """Something changed: wake whoever looks on."""
        self.changed.set()
        self.changed = asyncio.Event()
        self._owner.stirred(self)

    @property
    def status(self) -> str:
        """The one word for where it stands."""
        return status_word(self.kept, asks=bool(self.open))

    @property
    def worked(self) -> float:
        """Seconds that were spent waiting for people so far, to be left out of the time limit."""
        now = asyncio.get_running_loop().time()
        return self.waiting_for_people + (now - self._since_waiting if self._since_waiting is not None else 0.0)

    @property
    def total(self) -> AgentUsage:
        """What all turns used so far."""
        return self.usage if self.before == AgentUsage() else added(self.before, self.usage)

    def next_turn(self) -> None:
        """The turn is over and another one comes: its usage is added to what was used before."""
        self.before, self.usage = self.total, AgentUsage()

    def answer(
        self, key: str | None, action: str, *, option: str | None, content: Mapping[str, Any] | None, by: str
    ) -> str:
        """Answer an open question; returns its key.

        Raises:
            LookupError: it is not open; the text says whether it was answered, and by whom.
            ValueError: the answer does not fit; the text says how to mend it.
        """
        if key is None:
            if len(self.open) != 1:
                raise LookupError(f"the run has {len(self.open)} open questions: {self._open_keys()}")
            key = next(iter(self.open))
        waiting = self.open.get(key)
        if waiting is None or waiting.answered.done():
            done = self.answered.get(key)
            known = f"was answered already (by {done})" if done is not None else "is not open"
            raise LookupError(f"question '{key}' of run '{self.kept.id}' {known}; open: {self._open_keys()}")
        self.give(key, answer_of(waiting.question, action, content=content, option=option, by=by))
        return key

    def _open_keys(self) -> str:
        return ", ".join(self.open) or "none"

    def give(self, key: str, answer: Answer) -> None:
        """Give an answer that fits; too late is harmless."""
        waiting = self.open.get(key)
        if waiting is not None and not waiting.answered.done():
            self.answered[key] = answer.by
            waiting.answered.set_result(answer)

    def dismiss(self) -> None:
        """Nobody answers any more: what is open is cancelled in well-formed fashion."""
        for waiting in list(self.open.values()):
            self.give(waiting.key, replace(expired(waiting.question), by="gateway"))

    def cancel(self, reason: str) -> None:
        """Ask for the end."""
        if not self.stop.is_set() and self.kept.ended is None:
            self.stopping = reason
            self.stop.set()
            self.dismiss()

    # -- what was said and done -----------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What the agent said, the last of it."""
        return "".join(self._said)

    @property
    def tools(self) -> list[ToolUse]:
        """Its tool calls as they stand."""
        return list(self._tools.values())

    def warn(self, text: str, kind: str = "warning") -> None:
        """A warning of our own."""
        self.event(Warned(text, kind))

    def _note(self, event: AgentEvent) -> None:
        match event:
            case Text():
                self._say(event)
            case ToolUse():
                known = self._tools.get(event.id)
                self._tools[event.id] = event if known is None else _merged(known, event)
                if len(self._tools) > MOST_TOOLS:
                    self._tools.popitem(last=False)
            case Planned():
                self.plan = event.entries
            case FileChange():
                self.files[event.path] = event.change
            case Used():
                self.usage = event.usage
            case Warned():
                if len(self.warnings) < MOST_WARNINGS:
                    self.warnings.append(self._redact(event.text))
            case Started() | Thought():
                pass
            case never:
                assert_never(never)

    def _say(self, event: Text) -> None:
        text = self._redact(event.text)
        if event.final and self._said and event.message and event.message == self._message:
            return  # the whole of a message whose pieces are there already
        apart = "\n" if self._said and event.message != self._message else ""
        self._message = event.message
        self._said.append(apart + text)
        self._said_length += len(text) + len(apart)
        while self._said_length > MOST_TEXT and len(self._said) > 1:
            self._said_length -= len(self._said.popleft())

    # -- the journal ----------------------------------------------------------------------------------------------

    def _journal(self, what: str, fields: Mapping[str, Any], raw: str | bytes | None) -> None:
        self.kept = replace(self.kept, events=self.kept.events + 1)
        data: dict[str, Any] = {"seq": self.kept.events, "type": what, **self._clean(fields)}
        if raw is not None:
            text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
            text = self._redact(text)
            data["raw"] = text if len(text) <= MOST_RAW else text[:MOST_RAW]
            if len(text) > MOST_RAW:
                data["raw_cut"] = len(text)
        self._owner.engine.record(EventKind.AGENT_EVENT, self.kept.id, data)

    def _clean(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._cleaned(value) for name, value in fields.items()}

    def _cleaned(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {str(key): self._cleaned(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._cleaned(one) for one in value]
        return value


def _merged(known: ToolUse, news: ToolUse) -> ToolUse:
    told = {name: value for name in ToolUse.__slots__ if (value := getattr(news, name)) is not None}
    return replace(known, **told)


def _fields(event: AgentEvent) -> dict[str, Any]:
    return {name: value for name, value in asdict(event).items() if value not in (None, "", (), {})}


def _outline(answer: Answer) -> dict[str, Any]:
    action = (answer.result or {}).get("action")
    content = (answer.result or {}).get("content")
    chosen = content.get("decision") if isinstance(content, Mapping) else None
    return {"action": action} | ({"decision": chosen} if isinstance(chosen, str) else {})
