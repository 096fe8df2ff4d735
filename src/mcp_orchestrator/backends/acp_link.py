"""The connection with an ACP agent: the methods of `agent-client-protocol` over the lines of our own agent process.

Of the package (0.12.1) only its connection is used: requests and their answers, both ways, as plain JSON. Its models
would lose fields and refuse what they do not know. What is no request goes past it, in order and with its line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.backends.agent_link import AgentLink, Frame, record, words_of
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentOpening, AgentSpec, Warned
from mcp_orchestrator.model.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, REQUEST_CANCELLED, BackendError
from mcp_orchestrator.model.snapshot import Secret

if TYPE_CHECKING:
    from acp.connection import Connection
    from acp.exceptions import RequestError

OnNote = Callable[[str, Frame, bytes], None]
OnRequest = Callable[[str, Frame, bytes], Awaitable[Frame | None]]

_WITHDRAWN: Final[Mapping[str, Frame]] = {
    "session/request_permission": {"outcome": {"outcome": "cancelled"}},
    "elicitation/create": {"action": "cancel"},
}
"""What a question gets whose turn is over or is being stopped (ACP 1, prompt turn, cancellation)."""

_SETTLING: Final = 1.0
"""Seconds that answers on their way get when the connection is closed."""


class AcpError(Exception):
    """An error with which the agent answered a request."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class _Params(Frame):
    """The parameters of a request of the agent, with the line they came in and the id of the request."""

    line: bytes = b""
    key: object = None


class AcpLink:
    """One agent, spoken to. `on_note(method, params, line)` gets its notifications.

    `on_request(method, params, line)` gives the result of each of its requests, None for a method that is not known:
    it then gets a well-formed error, and a warning is told.
    """

    def __init__(self, spec: AgentSpec, reaper: Reaper, on_note: OnNote, on_request: OnRequest) -> None:
        self.link = AgentLink(spec, reaper, self._frame)
        self._on_note = on_note
        self._on_request = on_request
        self._incoming: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._connection: Connection | None = None
        self._error: type[RequestError] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._asking: dict[object, asyncio.Task[Frame | None]] = {}
        self._withdrawn: set[object] = set()
        self._coming: set[object] = set()
        self._cancelled: set[object] = set()

    async def start(
        self, command: tuple[str | Secret, ...], opening: AgentOpening, passed: tuple[str, ...], env: Mapping[str, str]
    ) -> None:
        """Start the agent's process.

        Raises:
            BackendError: it cannot be started.
        """
        connection, self._error = await asyncio.to_thread(_library)  # it takes a second to import
        await self.link.process.start(command, opening, passed=passed, env=env)
        self._connection = connection(self._asked, _Pipe(self.link, self._incoming))
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def request(self, method: str, params: Mapping[str, Any]) -> Frame:
        """Send a request and wait for its result.

        Raises:
            AcpError: the agent answered with an error.
            ConnectionError: the agent ended before it answered.
        """
        if self._connection is None or self._error is None:
            raise ConnectionError("the agent is not started")
        try:
            return record(await self._connection.send_request(method, dict(params)))
        except self._error as error:
            raise AcpError(error.code, str(error), error.data) from error
        except BackendError as error:
            raise ConnectionError(error.message) from error

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification; an agent that no longer reads has no use for it."""
        self.link.reply({"jsonrpc": "2.0", "method": method, "params": params})

    async def settle(self) -> None:
        """Take back what the agent has asked and nobody has answered: each gets the answer of a withdrawn question."""
        asking = tuple(self._asking.values())
        self._withdrawn.update(self._asking)
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking, timeout=_SETTLING)

    async def close(self) -> None:
        """Answer what is open, then close the agent's input, then TERM, then KILL. Idempotent."""
        await self.settle()
        await self.link.process.stop()
        if self._watching is not None:
            self._watching.cancel()
        if self._connection is not None:
            await self._connection.close()

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame, line: bytes) -> None:
        method = frame.get("method")
        if isinstance(method, str) and "id" not in frame:
            self._noted(method, record(frame.get("params")), line)
        elif isinstance(method, str):
            params = _Params(record(frame.get("params")))
            params.line, params.key = line, _key(frame["id"])
            self._coming.add(params.key)
            self._incoming.put_nowait({**frame, "params": params})
        elif isinstance(frame.get("id"), int) and ("result" in frame or "error" in frame):
            self._incoming.put_nowait(_well_formed(frame))
        else:
            self.link.on_warning(Warned("a frame that is no message of the protocol was skipped", "protocol"), line)

    def _noted(self, method: str, params: Frame, line: bytes) -> None:
        if method == "$/cancel_request":
            key = _key(params.get("requestId"))
            task = self._asking.get(key)
            if task is not None:
                task.cancel()
            elif key in self._coming:
                self._cancelled.add(key)
            return
        self._on_note(method, params, line)

    async def _asked(self, method: str, params: Any, is_notification: bool) -> Frame:
        del is_notification  # those do not come this way
        given = params if isinstance(params, _Params) else _Params()
        self._coming.discard(given.key)
        assert self._error is not None  # noqa: S101 - set before the connection is
        if given.key in self._cancelled:  # it was taken back before it got here
            self._cancelled.discard(given.key)
            raise self._error(REQUEST_CANCELLED, "the request was cancelled")
        task: asyncio.Task[Frame | None] = asyncio.ensure_future(self._answer(method, given))
        self._asking[given.key] = task
        try:
            result = await task
        except asyncio.CancelledError:
            task.cancel()
            if given.key in self._withdrawn and method in _WITHDRAWN:
                return _WITHDRAWN[method]
            raise self._error(REQUEST_CANCELLED, "the request was cancelled") from None
        finally:
            self._asking.pop(given.key, None)
            self._withdrawn.discard(given.key)
        if result is None:
            text = f"a request of the agent that nobody can answer was declined: {method}"
            self.link.on_warning(Warned(text, "protocol"), given.line)
            raise self._error(METHOD_NOT_FOUND, f"{method} is not supported by this client")
        return result

    async def _answer(self, method: str, given: _Params) -> Frame | None:
        return await self._on_request(method, given, given.line)

    async def _watch(self) -> None:
        await self.link.process.ended.wait()
        self._incoming.put_nowait(None)  # after all that it said


class _Pipe:
    """The process as a transport of the package (`acp.connection.Connection`)."""

    def __init__(self, link: AgentLink, incoming: asyncio.Queue[Frame | None]) -> None:
        self._link = link
        self._incoming = incoming

    async def send(self, message: Frame) -> None:
        """Send a message; answers that nobody reads any more are let go."""
        if "method" in message:
            self._link.send(message)
        else:
            self._link.reply(message)

    async def receive(self) -> Frame | None:
        """The next request or answer; None after the last one."""
        return await self._incoming.get()

    async def close(self) -> None:
        """The process is ended by whoever started it."""


def _library() -> tuple[type[Connection], type[RequestError]]:
    from acp.connection import Connection  # noqa: PLC0415 - imported only where an agent of this kind is started
    from acp.exceptions import RequestError  # noqa: PLC0415

    return Connection, RequestError


def _key(identifier: object) -> object:
    """An id of the agent as a key, whatever it is."""
    return identifier if isinstance(identifier, int | str) else repr(identifier)


def _well_formed(frame: Frame) -> Frame:
    """An answer whose error, if it has one, is an object with a code and a message."""
    error = frame.get("error")
    if error is None:
        return {"id": frame["id"], "result": frame.get("result")}
    told = record(error) or {"message": str(error)}
    code = told.get("code")
    whole = code if isinstance(code, int) else INTERNAL_ERROR
    message = words_of(told.get("message")) or "no message"
    return {"id": frame["id"], "error": {"code": whole, "message": message, "data": told.get("data")}}
