"""The JSON-RPC of the Codex app-server: lines on stdin and stdout, without the `jsonrpc` member (0.169.0, 2026-11-24)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import AgentLink, Frame, record, words_of
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import AgentOpening, AgentSpec
from mcp_orchestrator.model.errors import METHOD_NOT_FOUND, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret

VERIFIED: Final = "0.169.0"
"""The version with which the adapter was last tried, on 2026-11-24."""

PASSED: Final = (
    *("CODEX_HOME", "CODEX_API_KEY", "CODEX_CA_CERTIFICATE", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    *("OPENAI_ORGANIZATION", "OPENAI_PROJECT", "AZURE_OPENAI_API_KEY"),
)
"""The variables that Codex inherits; a provider of its configuration may want another (`env_key`), by `inheritEnv`."""

_INSTALL: Final = "install it with `npm install -g @openai/codex`, then sign in with `codex login`"

OnNote = Callable[[str, Frame, bytes], None]
OnRequest = Callable[[int | str, str, Frame, bytes], None]


class CodexError(Exception):
    """An error with which Codex answered a request."""

    def __init__(self, error: Frame) -> None:
        super().__init__(words_of(error.get("message")) or "no message")
        self.error = error


class CodexRpc:
    """One app-server. `on_note(method, params, raw)` and `on_request(id, method, params, raw)` get what it says."""

    def __init__(self, spec: AgentSpec, reaper: Reaper, on_note: OnNote, on_request: OnRequest) -> None:
        self._spec = spec
        self._on_note = on_note
        self._on_request = on_request
        self._sent = 0
        self.link = AgentLink(spec, reaper, self._frame)

    async def start(self, opening: AgentOpening) -> str:
        """Start it and shake hands; returns how it calls itself.

        Raises:
            BackendError: it does not start; the message tells how to mend it.
        """
        env = {"CODEX_HOME": str(self._spec.settings["configDir"])} if self._spec.settings.get("configDir") else {}
        try:
            await self.link.process.start(command_of(self._spec), opening, passed=passed(), env=env)
        except BackendError as error:
            if "is not on the PATH" in error.message:
                raise BackendError(error.kind, f"{error.message}; {_INSTALL}") from error
            raise
        about = {"name": "mcp-orchestrator", "title": "MCP Orchestrator", "version": "1"}
        try:
            answer = await self.call("initialize", clientInfo=about, capabilities={"experimentalApi": True})
        except CodexError as error:
            raise self.unavailable(f"it does not take our greeting: {error}") from error
        self.link.send({"method": "initialized"})
        return words_of(answer.get("userAgent"))

    async def call(self, method: str, **params: Any) -> Frame:
        """A request and its result.

        Raises:
            CodexError: it answered with an error.
            BackendError: it ended before it answered.
        """
        self._sent += 1
        number = self._sent
        answer = await self.link.request(number, {"id": number, "method": method, "params": params})
        if answer is None:
            words = "; ".join(self.link.process.stderr[-3:]) or f"its process {self.link.process.why}"
            raise self.unavailable(f"Codex ended: {words}")
        if "error" in answer:
            raise CodexError(record(answer["error"]))
        return record(answer.get("result"))

    def unavailable(self, why: str) -> BackendError:
        """The error of an agent that cannot be opened."""
        where = f" ({self._spec.where})" if self._spec.where else ""
        return BackendError(FailureKind.UNAVAILABLE, f"agent {self._spec.name}: {why}{where}")

    def answer(self, number: int | str, result: Frame | None) -> None:
        """Answer a request; None: with the error that it is not supported."""
        if result is not None:
            self.link.reply({"id": number, "result": result})
            return
        error = {"code": METHOD_NOT_FOUND, "message": "not supported by this host"}
        self.link.reply({"id": number, "error": error})

    def _frame(self, frame: Frame, raw: bytes) -> None:
        method, number = frame.get("method"), frame.get("id")
        if isinstance(method, str):
            params = record(frame.get("params"))
            if isinstance(number, int | str):
                self._on_request(number, method, params, raw)
            else:
                self._on_note(method, params, raw)
        elif number is not None:
            self.link.answered(number, frame)


def command_of(spec: AgentSpec) -> tuple[str | Secret, ...]:
    """The command line: `app-server` and the extra arguments are added to what is configured."""
    command = spec.command or ("codex",)
    extra = map(str, spec.settings.get("extraArgs") or ())
    return (*command, *(() if "app-server" in command else ("app-server",)), *extra)


def passed() -> tuple[str, ...]:
    """The variables of `PASSED` that are there."""
    return tuple(name for name in PASSED if name in os.environ)
