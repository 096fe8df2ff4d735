"""The door for our own command line: a private Unix socket, one JSON request per line, one reply per line.

Request `{"do": "tools.list", ...arguments}`, reply `{"ok": true, "result": ...}` or
`{"ok": false, "error": {"kind": "...", "message": "..."}}`. `gateway.json` beside the state file tells where the
socket of the running gateway is.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_orchestrator.model.errors import BackendError

SIGN_IN: Final = "sign_in"
"""The kind of a failure that credentials would mend."""

_UNAUTHORIZED: Final = 401
CARD_NAME: Final = "gateway.json"
MAX_REQUEST: Final = 8 * 1024 * 1024
MAX_REPLY: Final = 256 * 1024 * 1024
MAX_CONNECTIONS: Final = 64
REFUSAL_PATIENCE: Final = 1.0
"""Seconds for a request that will be refused to arrive."""
MAX_SOCKET_PATH: Final = 100
"""Bytes of a socket's path: the kernel takes 108 on Linux and 104 on macOS, the final zero included."""

Action = Callable[[dict[str, Any]], Awaitable[Any]]


class NoGatewayError(ConnectionError):
    """No gateway runs on this state directory, or it ended before it answered."""


class ActionError(Exception):
    """The running gateway refused or failed to do what was asked.

    `kind` is `invalid`, `unknown`, `refused`, `failed`, `internal`, or a word of `FailureKind` when a backend failed.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class GatewayCard:
    """What `gateway.json` says of the running gateway. `started_at` is seconds since the epoch."""

    pid: int
    socket: str
    version: str = ""
    url: str | None = None
    config: str | None = None
    started_at: float = 0.0


def read_card(state_dir: Path) -> GatewayCard | None:
    """The card of the gateway that runs on this directory; None when there is none, or its process is gone."""
    try:
        card = msgspec.json.decode((state_dir / CARD_NAME).read_bytes(), type=GatewayCard)
    except (OSError, ValueError):
        return None
    return card if process_exists(card.pid) else None


def process_exists(pid: int) -> bool:
    """Whether there is such a process, whoever it belongs to."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there and belongs to somebody else
        return True
    return True


def socket_path(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where the socket goes: `run/control.sock` beside the state, or a short name elsewhere when that is too long.

    Elsewhere is `$XDG_RUNTIME_DIR/mcp-orchestrator`, else a directory of this user below the temporary one.
    """
    state_dir = state_dir.absolute()
    name = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16] + ".sock"
    places = [state_dir / "run" / "control.sock"]
    if environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(environ["XDG_RUNTIME_DIR"]) / "mcp-orchestrator" / name)
    places.append(Path(tempfile.gettempdir()) / f"mcp-orchestrator-{os.getuid()}" / name)
    return next((place for place in places if len(os.fsencode(place)) <= MAX_SOCKET_PATH), places[-1])


class ControlListener:
    """Answers the command line on the control socket of one state file, from `open` to `aclose`.

    An action gets the request's other members and returns plain JSON. What it may raise: LookupError (`unknown`),
    ValueError (`invalid`), BackendError (its kind), OSError (`failed`). `about` gives the members of the card:
    pid, version, url, config, started_at.
    """

    def __init__(self, state_file: Path, actions: Mapping[str, Action], about: Callable[[], Mapping[str, Any]]) -> None:
        self._directory = state_file.absolute().parent
        self._actions = actions
        self._about = about
        self._socket = socket_path(self._directory, os.environ)
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> Path:
        """The path of the socket."""
        return self._socket

    async def open(self) -> None:
        """Make the socket (0600 in a 0700 directory) and the card.

        Raises:
            OSError: another gateway keeps its state in this directory, or the socket cannot be made there.
        """
        other = await find_gateway(self._directory)
        if other is not None:
            text = (
                f"another gateway (process {other.pid}) keeps its state in {self._directory}: stop it, "
                "or set storage.url to a file in a directory of its own"
            )
            raise OSError(errno.EADDRINUSE, text)
        _make_private(self._socket.parent)
        self._socket.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            door.bind(str(self._socket))
            self._socket.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._converse, sock=door, limit=MAX_REQUEST)
            self.refresh()
        except OSError:
            door.close()
            raise

    def refresh(self) -> None:
        """Write the card anew, atomically: call it when what `about` says has changed (the HTTP address is known)."""
        card = {**self._about(), "socket": str(self._socket)}
        new = self._directory / f".{CARD_NAME}.{os.getpid()}"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, msgspec.json.format(msgspec.json.encode(card)) + b"\n")
        finally:
            os.close(file)
        new.replace(self._directory / CARD_NAME)

    async def aclose(self) -> None:
        """End open conversations, take the socket and the card away. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._socket.unlink(missing_ok=True)
        card = read_card(self._directory)
        if card is not None and card.socket == str(self._socket):
            (self._directory / CARD_NAME).unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        refusal = self._refusal(writer)
        self._conversations.add(task)
        try:
            if refusal:
                await _turn_away(reader, writer, refusal)
                return
            while await self._exchange(reader, writer):
                pass
        except ConnectionError:
            pass  # the command line left without waiting for its answer
        finally:
            self._conversations.discard(task)
            writer.close()

    def _refusal(self, writer: asyncio.StreamWriter) -> str:
        """Why this conversation may not be had; "" when it may."""
        if not _same_user(writer):
            return "this gateway belongs to another user"
        if len(self._conversations) >= MAX_CONNECTIONS:
            return f"{MAX_CONNECTIONS} conversations are open already: try again"
        return ""

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the conversation is over."""
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            if end.partial.strip():
                writer.write(_failure("invalid", "the request does not end in a newline"))
            return False
        except asyncio.LimitOverrunError:
            writer.write(_failure("invalid", f"the request is longer than {MAX_REQUEST} bytes"))
            await writer.drain()
            return False
        # Written in any case: an action that fails in an unforeseen way must not leave the other side waiting.
        reply = _failure("internal", "the request was not finished: the gateway stopped, or failed on it (see its log)")
        try:
            reply = await self._reply(line)
        finally:
            writer.write(reply)
        await writer.drain()
        return True

    async def _reply(self, line: bytes) -> bytes:
        try:
            action, args = self._understand(line)
            result = await action(args)
            return msgspec.json.encode({"ok": True, "result": result}, enc_hook=_foreign) + b"\n"
        except BackendError as error:
            return _failure(SIGN_IN if _wants_sign_in(error.data) else error.kind.value, error.message)
        except LookupError as error:
            return _failure("unknown", str(error.args[0]) if error.args else str(error))
        except (ValueError, RecursionError) as error:
            return _failure("invalid", str(error))
        except OSError as error:
            return _failure("failed", str(error))

    def _understand(self, line: bytes) -> tuple[Action, dict[str, Any]]:
        """The action of a request and its arguments. Raises ValueError or LookupError."""
        try:
            request = msgspec.json.decode(line)
        except ValueError as error:
            raise ValueError(f"the request is not JSON: {error}") from error
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            raise ValueError('a request is an object with "do" naming the action')  # noqa: TRY004 - told apart by no one
        do = request.pop("do")
        if do not in self._actions:
            known = ", ".join(sorted(self._actions)) or "none"
            raise LookupError(f"this gateway has no action '{do}' (it has: {known})")
        return self._actions[do], request


async def find_gateway(state_dir: Path) -> GatewayCard | None:
    """The card of a gateway that not only has its process but also answers the door."""
    card = read_card(state_dir)
    if card is None:
        return None
    try:
        _reader, writer = await asyncio.open_unix_connection(card.socket)
    except OSError:
        return None
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return card


async def ask_gateway(state_dir: Path, do: str, /, *, patience: float = 60.0, **args: Any) -> Any:
    """Have the gateway that runs on `state_dir` do something; returns its plain JSON result.

    `patience` is in seconds for all of it.

    Raises:
        NoGatewayError: none runs there, or it ended meanwhile.
        ActionError: it refused or failed.
        TimeoutError: no answer in time.
    """
    card = read_card(state_dir)
    if card is None:
        raise NoGatewayError(f"no gateway runs on {state_dir}: start one with mcp-orchestrator serve")
    try:
        async with asyncio.timeout(patience):
            line = await _ask(card.socket, msgspec.json.encode({**args, "do": do}, enc_hook=_foreign) + b"\n")
    except TimeoutError as error:
        raise TimeoutError(f"the gateway (process {card.pid}) did not answer within {patience:g} s") from error
    except OSError as error:
        text = f"the gateway (process {card.pid}) does not answer at {card.socket} ({error}): is it still starting?"
        raise NoGatewayError(text) from error
    try:
        reply = msgspec.json.decode(line)
    except ValueError as error:
        raise NoGatewayError(f"the gateway (process {card.pid}) ended before it had answered") from error
    if reply.get("ok"):
        return reply.get("result")
    raise ActionError(reply["error"]["kind"], reply["error"]["message"])


async def _ask(path: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_REPLY)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()


async def _turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, why: str) -> None:
    """Refuse the first request. It is read all the same: closing on unread bytes would cut off the reply."""
    with suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REFUSAL_PATIENCE):
            await reader.readuntil(b"\n")
    writer.write(_failure("refused", why))
    await writer.drain()


def _wants_sign_in(data: Any) -> bool:
    return isinstance(data, Mapping) and data.get("httpStatus") == _UNAUTHORIZED


def _failure(kind: str, message: str) -> bytes:
    text = message.encode("utf-8", "replace").decode()
    return msgspec.json.encode({"ok": False, "error": {"kind": kind, "message": text}}) + b"\n"


def _foreign(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _make_private(directory: Path) -> None:
    """Make a directory that only we may enter, or make sure that the one there is such a one.

    Raises:
        OSError: it belongs to somebody else, or is no directory (a trap set in a shared temporary directory).
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise OSError(errno.EPERM, f"{directory} is not a directory of ours: remove it, then start again")
    directory.chmod(0o700)


def _same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side runs as the same user. Where the kernel cannot tell, the directory's mode decides."""
    if sys.platform != "linux":
        return True
    door = writer.get_extra_info("socket")
    layout = struct.Struct("iII")
    _pid, uid, _gid = layout.unpack(door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    return bool(uid == os.getuid())
