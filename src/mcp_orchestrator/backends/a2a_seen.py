"""What a turn has seen of its task: events are told once, whether they came as updates or in a whole task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.a2a_reading import (
    Artifact,
    Message,
    Part,
    State,
    Update,
    read_usage,
    shown_file,
    total,
)
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    CostSource,
    Text,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

MOST_ARTIFACTS: Final = 1000
MOST_CHARS: Final = 4_000_000
MOST_SAID: Final = 10_000
_MOST_WARNINGS: Final = 20


class _Made:
    """One artifact as it has come so far, and what was told of it."""

    def __init__(self, artifact: Artifact) -> None:
        self.id = artifact.id
        self.name = artifact.name
        self.parts: tuple[Part, ...] = ()
        self.told = ""
        self.revision = 0

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if part.text)


class Seen:
    """The state of one task as far as it was told, and the events that follow from it."""

    def __init__(self, talk: AgentTalk) -> None:
        self._talk = talk
        self._artifacts: dict[str, _Made] = {}
        self._chars = 0
        self._said: dict[str, str] = {}
        self._last_said = ""
        self._usages: dict[str, AgentUsage] = {}
        self._tools: set[str] = set()
        self._warned = 0
        self._raw: bytes | None = None
        self.task = ""
        self.context = ""
        self.state: State | None = None
        self.word = self.when = ""
        self.message: Message | None = None
        self.reply: Message | None = None

    @property
    def over(self) -> bool:
        """Whether nothing follows any more."""
        return self.reply is not None or (self.state is not None and self.state.over)

    @property
    def usage(self) -> AgentUsage:
        """What was used, as far as it was told."""
        return total(self._usages)

    def take(self, update: Update, raw: bytes) -> None:
        """Take in what was told; frames of another task are passed over with a warning."""
        if update.task and self.task and update.task != self.task:
            self.warn(f"a frame about another task ({update.task[:100]}) was passed over", raw)
            return
        self._raw = raw
        self.task = self.task or update.task
        self.context = update.context or self.context
        for message in update.history:
            if message.agent and message.id and not self._asks(message, update):
                self._say(message)
        for artifact in update.artifacts[:MOST_ARTIFACTS]:
            self._make(artifact if not update.whole else replace(artifact, append=False))
        if update.state is not None:
            self.state, self.word, self.when = update.state, update.word, update.when
            self.message = update.message
            if update.message is not None and not update.state.waits:
                self._say(update.message)
        if update.reply is not None:
            self.reply = update.reply
            self._say(update.reply)
        messages = (*update.history, *((update.message,) if update.message is not None else ()))
        more = [one.metadata for one in (*messages, *update.artifacts)]
        for metadata in (*more, *update.metadata):
            self._use(metadata)

    @staticmethod
    def _asks(message: Message, update: Update) -> bool:
        """Whether this message of the history is the question that is open: it goes to a person, not into the text."""
        return (
            update.state is not None
            and update.state.waits
            and update.message is not None
            and (message.id == update.message.id)
        )

    def warn(self, text: str, raw: bytes | None = None) -> None:
        """Warn, a bounded number of times."""
        self._warned += 1
        if self._warned <= _MOST_WARNINGS:
            self._talk.event(Warned(text), raw)

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The agent's final words: its artifacts, else its last message."""
        made = [self._whole(one) for one in self._artifacts.values()]
        texts = [text for text in made if text]
        if self.reply is not None:
            return _content(self.reply)
        last = _content(self.message) if self.message is not None and self.over else ""
        return "\n\n".join(texts) or last or self._last_said

    @property
    def structured(self) -> Any:
        """The data of its artifacts (or of its one message): the value itself where there is just one."""
        parts = [part for one in self._artifacts.values() for part in one.parts]
        if not any(part.has_data for part in parts):
            last = self.reply or (self.message if self.over else None)
            parts = list(last.parts) if last is not None else []
        values = [part.data for part in parts if part.has_data and _tool_of(part) is None]
        return values[0] if len(values) == 1 else values or None

    @property
    def empty(self) -> bool:
        """Whether nothing at all was said, made or done."""
        return not self.text and self.structured is None and not self._tools

    @staticmethod
    def _whole(made: _Made) -> str:
        files = [shown_file(part.file) for part in made.parts if part.file is not None]
        return "\n".join(filter(None, (made.text, *files)))

    # -- events ---------------------------------------------------------------------------------------------------

    def _tell(self, event: AgentEvent) -> None:
        self._talk.event(event, self._raw)
        self._raw = None  # a frame is kept once, beside the first event that came of it

    def _say(self, message: Message) -> None:
        text = _content(message)
        key = message.id or f"text:{text}"
        if self._said.get(key) == text or (len(self._said) >= MOST_SAID and key not in self._said):
            return
        self._said[key] = text
        for number, part in enumerate(message.parts):
            self._part(part, f"{key}:{number}")
        if text:
            self._last_said = text
            self._tell(Text(text, message=message.id))

    def _make(self, artifact: Artifact) -> None:
        made = self._artifacts.get(artifact.id)
        if made is None:
            if len(self._artifacts) >= MOST_ARTIFACTS:
                self.warn(f"more than {MOST_ARTIFACTS} artifacts: the rest are passed over")
                return
            made = self._artifacts[artifact.id] = _Made(artifact)
        size = sum(len(part.text or "") for part in artifact.parts)
        if self._chars + size > MOST_CHARS:
            self.warn(f"artifacts of more than {MOST_CHARS} characters: the rest is passed over")
            return
        if artifact.append:
            self._chars += size
            first = len(made.parts)
            made.parts = (*made.parts, *artifact.parts)
        else:
            self._chars += size - len(made.text)
            first = 0
            made.parts = artifact.parts
        for number, part in enumerate(made.parts[first:], first):
            self._part(part, f"{artifact.id}:{number}")
        self._tell_made(made)

    def _tell_made(self, made: _Made) -> None:
        """Tell what is new of an artifact's text; text that replaces what was told is told as a message of its own."""
        text = made.text
        if text == made.told:
            return
        if text.startswith(made.told):
            piece = text[len(made.told) :]
        else:
            made.revision += 1
            piece = text
        made.told = text
        mark = f"#{made.revision}" if made.revision else ""
        self._tell(Text(piece, message=f"artifact:{made.id}{mark}", final=False))

    def _part(self, part: Part, ident: str) -> None:
        """A tool call or a file among the parts."""
        tool = _tool_of(part)
        if tool is not None:
            self._do(tool)
        elif part.file is not None and f"file:{ident}" not in self._tools:
            name = str(part.file.get("name") or "file")
            self._do(ToolUse(f"file:{ident}", "artifact", "other", name, ToolStatus.COMPLETED, output=dict(part.file)))

    def _do(self, tool: ToolUse) -> None:
        key = f"{tool.id}:{tool.status}"
        if key not in self._tools and len(self._tools) < MOST_SAID:
            self._tools |= {key, tool.id}
            self._tell(tool)

    def _use(self, metadata: Mapping[str, Any]) -> None:
        found = read_usage(metadata)
        if found is None:
            return
        key, usage = found
        before = self._usages.get(key)
        if before != usage and len(self._usages) < MOST_SAID:
            self._usages[key] = _filled(before, usage)
            self._tell(Used(self.usage))


def _filled(before: AgentUsage | None, news: AgentUsage) -> AgentUsage:
    """News in place of what was told before; what they leave out stays."""
    if before is None:
        return news
    told = {
        name: value
        for name in AgentUsage.__slots__
        if (value := getattr(news, name)) is not None and value is not CostSource.UNMEASURED
    }
    return replace(before, **told)


def _content(message: Message) -> str:
    files = [shown_file(part.file) for part in message.parts if part.file is not None]
    return "\n".join(filter(None, (message.text, *files)))


def _tool_of(part: Part) -> ToolUse | None:
    """A tool call told as data: ADK 2.13 sends `adk_type` function_call and function_response (2026-11-22)."""
    kind = part.metadata.get("adk_type") or part.metadata.get("adk-type")
    if not isinstance(part.data, Mapping) or kind not in {"function_call", "function_response"}:
        return None
    data = part.data
    name = data.get("name") if isinstance(data.get("name"), str) else None
    ident = str(data.get("id") or name or "tool")
    if kind == "function_call":
        return ToolUse(ident, name, "other", name, ToolStatus.RUNNING, input=data.get("args"))
    response = data.get("response")
    failed = isinstance(response, Mapping) and "error" in response
    return ToolUse(ident, name, status=ToolStatus.FAILED if failed else ToolStatus.COMPLETED, output=response)
