"""One delegation while it is being carried out: what its agent says, asks and uses, and who waits for it."""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

from mcp_orchestrator.core.answers import answer_of
from mcp_orchestrator.core.delegating import added, status_word
from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.core.translate.questions import expired
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    Ended,
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
from mcp_orchestrator.model.snapshot import Secret

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.delegations import Delegations

MOST_TEXT: Final = 200_000
"""Characters of what an agent said that are kept at hand; the journal has all of it."""

MOST_TOOLS: Final = 500
MOST_RAW: Final = 64 * 1024
MOST_WARNINGS: Final = 50
MOST_OPEN: Final = 100
"""Questions of one run that may be open at once; further ones are declined."""


Said = TypeVar("Said", bound=AgentEvent | Ended)

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
        self.below = 0
        self.before = kept.usage
        self.usage = AgentUsage()
        self.open: OrderedDict[str, OpenQuestion] = OrderedDict()
        self.answered: dict[str, str] = {}
        self._keys: set[str] = set()
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self.stopping = ""
        self.limit: TroubleKind | None = None
        self.stop = asyncio.Event()
        self.waiting_for_people = 0.0
        self._since_waiting: float | None = None
        self._saving = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    # -- AgentTalk ------------------------------------------------------------------------------------------------

    def event(self, event: AgentEvent, raw: str | bytes | None = None) -> None:
        """Note and journal what the agent said or did."""
        event = self._owner.wages.priced(self.cleaned(event), self._owner.model_of(self.kept))
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
        question = replace(question, params=self._with_clean_words(question.params))
        key = self._key_of(question)
        await self._keep_questions()  # before anybody sees it: an answer to it is an answer to no other
        if self.stop.is_set():
            return expired(question)
        waiting = self._opened(key, question, raw)
        parent = self._owner.parent_of(self.kept)
        relay = asyncio.ensure_future(self._relayed(parent, waiting)) if parent is not None else None
        try:
            async with asyncio.timeout(self._owner.engine.question_expiry):
                answer = await waiting.answered
        except TimeoutError:
            answer = expired(question)
        except asyncio.CancelledError:
            if not self._owner.stopping:  # else it is asked again by the next gateway
                self._note_answer(waiting, Answer(by="nobody: the agent took it back"))
            raise
        finally:
            if relay is not None:
                relay.cancel()
            self._closed(waiting)
        self._note_answer(waiting, answer)
        await self._keep_questions()
        return answer

    async def _keep_questions(self) -> None:
        try:
            await self._owner.engine.journal.commit()
            await self.save()
        except OSError as error:
            self._owner.engine.log.error("a question could not be kept", run=self.kept.id, error=str(error))  # noqa: TRY400

    def _note_answer(self, waiting: OpenQuestion, answer: Answer) -> None:
        self.answered[waiting.key] = answer.by
        left = {key: digest for key, digest in self.kept.questions.items() if key != waiting.key}
        self.kept = replace(self.kept, questions=left)
        data = {"method": waiting.question.method, "question": waiting.key, "by": answer.by, **_outline(answer)}
        self._owner.engine.record(EventKind.QUESTION_ANSWERED, self.kept.id, data)

    def _opened(self, key: str, question: Question, raw: str | bytes | None) -> OpenQuestion:
        now, loop = self._owner.engine.now(), asyncio.get_running_loop()
        waiting = OpenQuestion(key, question, now, now + self._owner.engine.question_expiry, loop.create_future())
        self.open[key] = waiting
        if self._since_waiting is None:
            self._since_waiting = loop.time()
        shown = {"method": question.method, "question": key, "message": str(question.params.get("message", ""))}
        self._owner.engine.record(EventKind.QUESTION_ASKED, self.kept.id, shown)
        if raw is not None:
            self._journal("question", {"question": key}, raw)
        self._owner.tell_question(self, waiting)
        self.stir()
        return waiting

    def _key_of(self, question: Question) -> str:
        """A new key; one that was open when an earlier gateway ended, and is asked again, keeps its own."""
        digest = self._owner.engine.digest(repr((question.method, sorted(question.params.items()))))
        known = [key for key, one in self.kept.questions.items() if one == digest and key not in self._keys]
        asked = self.kept.asked + (not known)
        key = known[0] if known else f"q{asked}"
        self._keys.add(key)
        self.kept = replace(self.kept, asked=asked, questions={**self.kept.questions, key: digest})
        return key

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
        while self.kept.ended is None and self.total != self.kept.usage:  # more may be told while it is written
            try:
                await self.save(usage=self.total)
            except OSError as error:
                self._owner.engine.log.error("what a run used could not be kept", run=self.kept.id, error=str(error))  # noqa: TRY400
                return

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
        return self._redact("".join(self._said))  # a secret may come in two pieces

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
                    self.warnings.append(event.text)
            case Started() | Thought():
                pass
            case never:
                assert_never(never)

    def _say(self, event: Text) -> None:
        text = event.text
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
        data: dict[str, Any] = {"seq": self.kept.events, "type": what, **fields}
        if raw is not None:
            text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
            text = self._redact(text)
            data["raw"] = text if len(text) <= MOST_RAW else text[:MOST_RAW]
            if len(text) > MOST_RAW:
                data["raw_cut"] = len(text)
        self._owner.engine.record(EventKind.AGENT_EVENT, self.kept.id, data)

    # -- secrets ------------------------------------------------------------------------------------------------------

    def hide(self, secret: Secret) -> None:
        """Keep one more word out of everything that is shown or kept."""
        before, more = self._redact, words_redactor((secret,))
        self._redact = lambda text: more(before(text))

    def cleaned(self, said: Said) -> Said:
        """What the agent said without the secrets that it was given: an event, or an end."""
        if self._redact is str:
            return said
        fields = {one.name: getattr(said, one.name) for one in dataclass_fields(said)}
        changed = {name: clean for name, value in fields.items() if (clean := self._clean(value)) != value}
        return replace(said, **changed) if changed else said

    def _with_clean_words(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Of a question the message alone is touched: options and addresses must stay what they are."""
        return {name: self._clean(value) if name == "message" else value for name, value in params.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return value
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._clean(one) for one in value)
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
