"""The doors: what a backend, a listener, a secret source, a verifier and a journal sink must look like.

Everything here is a protocol or a small value. The engine (`runtime`) knows adapters only through these; adapters
never import one another. Stable for plug-in authors: additions only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from mcp_orchestrator.model.call import ANONYMOUS, Call, ClientFace, Era, Invocation, Principal
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.event import Event
from mcp_orchestrator.model.outcome import Failed, Outcome
from mcp_orchestrator.model.snapshot import BackendSpec, Secret


class Talk(Protocol):
    """How a backend session speaks to the run it is carrying out. The notify methods never block and never raise."""

    def progress(self, params: Mapping[str, Any]) -> None:
        """Pass on progress: the wire params without `progressToken`, which is put on for the client's hop."""
        ...

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on any other notification that belongs to this run (log messages, extension notifications)."""
        ...

    def let_go(self, after: float) -> None:
        """Say that the backend closed the connection of this call in good order, to be asked again in `after` seconds.

        The call goes on (MCP 2025-11-25 basic/transports, polling); its client may be let go of in the same way.
        """
        ...

    async def ask(self, question: Question) -> Answer:
        """Put a question to whoever may answer it; always returns, with a well-formed decline if nobody can."""
        ...


@dataclass(frozen=True, slots=True)
class ListChanged:
    """A backend's list of one kind changed."""

    kind: OfferKind


@dataclass(frozen=True, slots=True)
class ResourceUpdated:
    """A subscribed resource changed: the raw params of `notifications/resources/updated`."""

    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log message that cannot be attributed to one run: the raw params of `notifications/message`.

    `common`: no call was in flight, so that it concerns everybody who uses the session.
    """

    params: Mapping[str, Any]
    common: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Any other notification that cannot be attributed to one run; `common` as with log messages."""

    method: str
    params: Mapping[str, Any]
    common: bool = False


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """The status of a task changed: the raw params of `notifications/tasks` or `notifications/tasks/status`."""

    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TasksAgreed:
    """The backend tells by itself from now on how these tasks (its own ids) go on, and of no others."""

    tasks: frozenset[str]


SessionEvent = ListChanged | ResourceUpdated | LogLine | Notice | TaskChanged | TasksAgreed


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session is to be opened.

    `era` None asks the adapter to find out (probe); a given era is tried as such and fails when it proves wrong.
    `capabilities` and `client_info` are declared to a legacy server at `initialize`. `on_event` is called on the
    event loop, must not block. `on_stderr` gets each line of a child's standard error. `exclusive` says that every
    call of this session is made for one and the same client, so that a question on a stream that does not say to
    which call it belongs may be put to any call in flight. `on_question` answers what is asked while no call is in
    flight (exclusive sessions: the client's own channel); None declines it.
    """

    era: Era | None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    client_info: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    exclusive: bool = False
    on_event: Callable[[SessionEvent], None] = lambda _event: None
    on_stderr: Callable[[str], None] = lambda _line: None
    on_question: Callable[[Question], Awaitable[Answer]] | None = None


class Session(Protocol):
    """One open conversation with a backend, in one era. Made by `Backend.open`, closed by whoever opened it."""

    @property
    def era(self) -> Era:
        """The era this session speaks."""
        ...

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None."""
        ...

    async def offers(self) -> Offers:
        """Everything the backend offers now, all pages walked (bounded). Raises BackendError."""
        ...

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Carry out one request. Never raises BackendError: outcomes are values.

        Cancelling the awaiting task tells the backend (notification or closed connection) and returns at once.
        """
        ...

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification of the client that concerns this session (e.g. roots list_changed)."""
        ...

    async def wait_closed(self) -> str:
        """Wait until the session is over by itself (child ended, stream lost); returns why, for a person."""
        ...

    async def close(self) -> None:
        """End the session and everything it owns (the whole process tree). Idempotent, bounded in time."""
        ...


@runtime_checkable
class TellsOfTasks(Protocol):
    """A session whose backend may be asked to tell how its tasks go on (MCP extension tasks, status notifications)."""

    def listen_for_task(self, task: str) -> Callable[[], None]:
        """Ask for it without waiting: `TasksAgreed` says what was agreed to. Returns the idempotent way to stop."""
        ...


class Backend(Protocol):
    """Whom we call: knows how to open sessions with one configured server."""

    @property
    def name(self) -> str:
        """The name of the configuration."""
        ...

    @property
    def eras(self) -> Sequence[Era]:
        """The eras that the configuration and transport allow at all (legacy SSE: only legacy)."""
        ...

    async def open(self, opening: Opening) -> Session:
        """Open a session. Raises BackendError with what was tried and what came back."""
        ...

    async def aclose(self) -> None:
        """Release what sessions share (connection pools)."""
        ...


class BackendKind(Protocol):
    """An entry point (`mcp_orchestrator.backends`) that makes backends of one kind from their specification."""

    @property
    def key(self) -> str:
        """The word used for `kind:` or the transport name."""
        ...

    def create(self, spec: BackendSpec) -> Backend:
        """Make a backend; no input or output happens yet."""
        ...


class Port(Protocol):
    """The client's side of a run, handed in by a listener: where notifications and questions go.

    `notify` never blocks and never raises; a client that is gone loses it.
    """

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification that belongs to the run's request. Progress arrives without a token: put it on."""
        ...

    def let_go(self, after: float) -> None:
        """Close the client's connection for `after` seconds, if the client is able to come back for the rest."""
        ...

    async def ask(self, question: Question) -> Answer | None:
        """Ask the client in place; None when this client cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """From where somebody looks at the catalog: which era they speak, which profile they entered by, who they are.

    `apps`: whether lists name the tools that are for MCP Apps alone. `client`: who looks, as far as it said.
    """

    era: Era
    profile: str | None = None
    principal: Principal = ANONYMOUS
    apps: bool = True
    client: ClientFace | None = None


class RunHandle(Protocol):
    """A run as its listener sees it. The run lives in the engine; the handle only attaches to it."""

    @property
    def id(self) -> str:
        """The run id, as the journal shows it."""
        ...

    async def outcome(self) -> Outcome:
        """Wait for the end. Cancelling the waiter does not cancel the run; call `cancel` for that."""
        ...

    def cancel(self, reason: str) -> None:
        """Ask the run to stop; its outcome becomes `Failed(CANCELLED)`. No effect once it has ended."""
        ...


ClientEvent = ListChanged | ResourceUpdated | LogLine | Notice | TaskChanged
"""What a client may hear outside of any request (names, URIs and task ids are already public ones)."""


class GatewayDoor(Protocol):
    """What listeners need of the engine. All names that go in and come out are public names."""

    @property
    def server_info(self) -> Mapping[str, Any]:
        """Our `Implementation` object: name, title, version."""
        ...

    def has_profile(self, profile: str) -> bool:
        """Whether `/mcp/PROFILE` exists."""
        ...

    async def face(self, view: View) -> tuple[Mapping[str, Any], str | None]:
        """Merged capabilities and instructions of everything the view shows (may wait for unknown backends)."""
        ...

    async def listing(self, view: View, kind: OfferKind, cursor: str | None) -> bytes | Failed:
        """One page of a list: the encoded result object in the view's era."""
        ...

    def header_schema(self, view: View, tool: str) -> Mapping[str, Any] | None:
        """The input schema of a tool if it asks for `Mcp-Param-*` headers (`x-mcp-header`), else None."""
        ...

    def start(self, call: Call, port: Port) -> RunHandle:
        """Plan a call and start its run in the engine. Never raises: a refused call is a run with that outcome."""
        ...

    def watch(self, view: View, session: str | None, hear: Callable[[ClientEvent], None]) -> Callable[[], None]:
        """Hear what changes in the view; returns the idempotent way to stop.

        With `session`, also resource updates that this client session subscribed to. `hear` must not block.
        """
        ...

    def follow_tasks(
        self, view: View, client: ClientFace, tasks: Sequence[str], hear: Callable[[ClientEvent], None]
    ) -> tuple[list[str], Callable[[], None]]:
        """Hear how tasks of this principal go on; returns those that there are, and the idempotent way to stop."""
        ...

    def session_opened(self, client: ClientFace, view: View, port: Port) -> None:
        """A legacy client finished `initialize`; `port` reaches it outside of any request."""
        ...

    def session_closed(self, session: str) -> None:
        """A legacy client session ended: its leases and subscriptions go."""
        ...

    async def client_notified(self, session: str, method: str, params: Mapping[str, Any]) -> None:
        """A legacy client sent a notification that concerns backends (roots/list_changed, extensions)."""
        ...


class Listener(Protocol):
    """Where clients connect."""

    async def serve(self, started: Callable[[str], None]) -> None:
        """Serve until cancelled or stopped; calls `started(address)` once clients can connect."""
        ...

    async def stop(self, drain: float) -> None:
        """Refuse new requests, wait up to `drain` seconds for open ones, then return."""
        ...


@runtime_checkable
class JournalSink(Protocol):
    """Where events go. `record` is cheap and never blocks; `commit` waits until all recorded so far is durable."""

    def record(self, event: Event) -> None:
        """Queue an event for the next group commit."""
        ...

    def commit(self) -> Awaitable[None]:
        """Wait until everything recorded before this call is committed.

        Raises:
            OSError: the record could not be kept (disk full, file gone); nothing may be acknowledged then.
        """
        ...


class OfferStore(Protocol):
    """Remembers the last known offers and eras of backends across restarts."""

    async def load(self) -> Mapping[tuple[str, str], Offers]:
        """All remembered offers, by (backend spec fingerprint, era)."""
        ...

    async def save(self, fingerprint: str, offers: Offers) -> None:
        """Remember offers for a backend spec."""
        ...

    async def load_eras(self) -> Mapping[str, Mapping[Era, bool]]:
        """By fingerprint: which eras are known to work (True) or known not to (False)."""
        ...

    async def save_era(self, fingerprint: str, era: Era, works: bool) -> None:
        """Remember one verdict."""
        ...


class SecretSource(Protocol):
    """Resolves `${secret:SCHEME/NAME}` for one scheme."""

    @property
    def scheme(self) -> str:
        """The word before the slash: `env`, `file`, `keyring`, `command`."""
        ...

    def resolve(self, name: str) -> Secret:
        """The secret. Raises LookupError with what to do about it; the message never holds the value."""
        ...


class Sealer(Protocol):
    """Seals state that a client carries for us, so that nobody else can read, make or move it."""

    def seal(self, inside: bytes, bond: bytes) -> str:
        """A token that opens only with the same `bond` (associated data)."""
        ...

    def unseal(self, token: str, bond: bytes) -> bytes:
        """What is inside. Raises ValueError for anything that was not sealed by us with this bond."""
        ...

    def stamp(self, inside: bytes, bond: bytes) -> str:
        """Likewise a token, but the same one for the same `inside` and `bond`, whenever it is made."""
        ...

    def unstamp(self, token: str, bond: bytes) -> bytes:
        """What is inside a stamp. Raises ValueError for anything that was not stamped by us with this bond."""
        ...


class Verifier(Protocol):
    """Judges the result of a delegation (door for routes with `verify`)."""

    async def verify(self, run: str, result: Mapping[str, Any]) -> tuple[bool, str]:
        """True with an empty text, or False and why."""
        ...
