"""A program that is started once for each task, for agents that have nothing better than their command line.

It reads what the program writes, by a profile. What such a program cannot do is said, in what is known of it and at the
start of each turn: it asks nothing, so that it may do everything that its arguments allow, or nothing at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.agent_api import AgentTalk
from mcp_orchestrator.backends.agent_link import cut_off
from mcp_orchestrator.backends.agent_look import output_of, version_in
from mcp_orchestrator.backends.agent_process import AgentProcess
from mcp_orchestrator.backends.child import child_environment, find_program
from mcp_orchestrator.backends.cli_ends import ended, exit_code
from mcp_orchestrator.backends.cli_profiles import Known, ProfileError, filled, find_profile
from mcp_orchestrator.backends.cli_reading import Reader
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.agent import (
    AgentFacts,
    AgentMode,
    AgentOpening,
    AgentSpec,
    Ended,
    EndStatus,
    Started,
    TroubleKind,
    Turn,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, Secret, TransportKind

LONGEST_ARGUMENT: Final = 120_000
"""Bytes of a prompt that is handed over as an argument: Linux allows 128 KiB in one."""

AFTER_END: Final = 5.0
"""Seconds that a program gets to exit after it has told its end."""

_ASKS_NOT: Final = (
    "it cannot ask: what its arguments allow, it does without a question, and what they do not, it cannot do"
)
_NO_READING: Final = (
    "it has no way to be kept from writing; a task that may only read works in a copy that is thrown away"
)
_NO_GATEWAY: Final = "it cannot be given the tools of the gateway"
_SCHEMA: Final = "output-schema.json"


def create(spec: AgentSpec, reaper: Reaper) -> CliBackend:
    """The agent that a definition describes."""
    return CliBackend(spec, reaper)


class CliBackend:
    """Starts the program of one definition. The profile is read anew for each session."""

    def __init__(self, spec: AgentSpec, reaper: Reaper) -> None:
        self._spec = spec
        self._reaper = reaper

    @property
    def spec(self) -> AgentSpec:
        """Its definition."""
        return self._spec

    def known(self) -> Known:
        """Its profile. Raises ProfileError."""
        return find_profile(str(self._spec.settings.get("profile", "")), self._spec.base)

    async def probe(self) -> AgentFacts:
        """Whether the program is there, its version, and what it cannot do."""
        try:
            known = self.known()
            command = self._command(known)
            self._find(known, command, Path.cwd())
        except (ProfileError, BackendError) as error:
            return AgentFacts(found=False, notes=(str(error),))
        profile = known.profile
        version, began = None, asyncio.get_running_loop().time()
        if profile.version:
            try:
                asked = (*command, *profile.version)
                said = await output_of(self._spec, self._reaper, asked, passed=profile.env, env=profile.set)
            except BackendError as error:
                return AgentFacts(found=False, notes=(error.message,))
            version = version_in(said)
        return AgentFacts(
            found=True,
            command=" ".join("<secret>" if isinstance(word, Secret) else word for word in command),
            version=version,
            verified=profile.verified,
            can=_abilities(known),
            start=asyncio.get_running_loop().time() - began if profile.version else None,
            notes=(*_cannot(known, AgentMode.READ), *profile.notes),
        )

    async def open(self, opening: AgentOpening) -> CliSession:
        """Make sure that the program is there; it is started with each turn.

        Raises:
            BackendError: the profile cannot be used, or the program is missing.
        """
        where = f" ({self._spec.where})" if self._spec.where else ""
        try:
            known = self.known()
        except ProfileError as error:
            text = f"agent {self._spec.name}: its profile cannot be used: {error}{where}"
            raise BackendError(FailureKind.UNAVAILABLE, text) from error
        command = self._command(known)
        self._find(known, command, opening.cwd)
        if opening.resume is not None and (known.profile.resume is None or opening.fork):
            what = "branch off a session" if opening.fork else "take up a session again"
            text = f"agent {self._spec.name}: {known.profile.title or command[0]} cannot {what}{where}"
            raise BackendError(FailureKind.UNAVAILABLE, text)
        return CliSession(self._spec, self._reaper, known, command, opening)

    async def aclose(self) -> None:
        """Nothing is shared."""

    def _command(self, known: Known) -> tuple[str | Secret, ...]:
        command = self._spec.command or known.profile.command
        if not command:
            where = f" ({self._spec.where})" if self._spec.where else ""
            text = f"agent {self._spec.name}: neither its profile nor its configuration names a command{where}"
            raise BackendError(FailureKind.UNAVAILABLE, text)
        return command

    def _find(self, known: Known, command: Sequence[str | Secret], cwd: Path) -> None:
        """Make sure that the program is there. Raises BackendError."""
        first = command[0]
        described = BackendSpec(
            name=self._spec.name,
            transport=TransportKind.STDIO,
            command=first.reveal() if isinstance(first, Secret) else first,
            env=self._spec.env,
            cwd=str(cwd),
            inherit_env=(*known.profile.env, *self._spec.inherit_env),
            where=self._spec.where,
        )
        try:
            find_program(described, child_environment(described, os.environ).get("PATH", os.defpath))
        except BackendError as error:
            if known.profile.install and "is not on the PATH" in error.message:
                raise BackendError(error.kind, f"{error.message}; {known.profile.install}") from error
            raise


class CliSession:
    """One conversation: a process for each turn, held together by the program's own session."""

    def __init__(
        self, spec: AgentSpec, reaper: Reaper, known: Known, command: Sequence[str | Secret], opening: AgentOpening
    ) -> None:
        self._spec = spec
        self._reaper = reaper
        self._known = known
        self._command = command
        self._opening = opening
        self._native = opening.resume
        self._process: AgentProcess | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._interrupted = False
        self._closed = asyncio.Event()

    @property
    def native(self) -> str | None:
        """The program's session, once it was told."""
        return self._native

    @property
    def pid(self) -> int | None:
        """Process id of the turn that is being done."""
        return self._process.pid if self._process is not None else None

    async def turn(self, turn: Turn, talk: AgentTalk) -> Ended:
        """Start the program, read what it writes, and judge its end."""
        self._interrupted = False
        for text in _cannot(self._known, self._opening.mode):
            talk.event(Warned(text, "limits"))
        reader, heard = Reader(self._known, talk.event), asyncio.Event()
        process = AgentProcess(self._spec, self._reaper, lambda line: _hear(line, reader, heard))
        process.on_stderr = lambda line: _lost(line, talk)
        profile = self._known.profile
        prompt = turn.prompt.encode("utf-8", "replace")
        if len(prompt) > LONGEST_ARGUMENT and profile.prompt == "argument":
            text = f"the task is longer than the {LONGEST_ARGUMENT} bytes that this program can be given as an argument"
            return Ended(EndStatus.FAILED, trouble=TroubleKind.INVALID, message=text, evidence="it was not started")
        try:
            await process.start(self._line(turn), self._opening, passed=profile.env, env=profile.set)
        except BackendError as error:
            message = error.message
            return Ended(
                EndStatus.FAILED, trouble=TroubleKind.MISSING, message=message, retryable=True, evidence="not started"
            )
        self._process = process
        if self._closed.is_set() or self._interrupted:
            self._stop()
        talk.event(Started(session=self._native, model=self._opening.model or self._spec.model))
        if profile.prompt == "stdin":
            process.write(prompt)
        process.close_input()
        await self._watched(process, reader, talk, heard)
        return self._judged(process, reader)

    async def _watched(self, process: AgentProcess, reader: Reader, talk: AgentTalk, heard: asyncio.Event) -> None:
        """Wait for the end; note the session as soon as it is told, where it can be taken up again.

        A program that has told its end gets `AFTER_END` seconds to exit.
        """
        resumable = self._known.profile.resume is not None
        if resumable and self._native is None and not _names_session(self._known):
            self._native = f"cli-{secrets.token_hex(6)}"  # what is taken up again is the program's to know
        over = asyncio.ensure_future(process.ended.wait())
        try:
            noted = None
            while not over.done() and reader.found.end is None:
                self._native = reader.found.session or self._native
                if resumable and self._native is not None and self._native != noted:
                    noted = self._native
                    await talk.bound(noted)
                await self._either(over, heard)
            await asyncio.wait({over}, timeout=None if over.done() else AFTER_END)
        finally:
            over.cancel()
            await process.stop()
        reader.finish()
        told = reader.found.session
        if resumable and told is not None and told != noted:
            self._native = told
            await talk.bound(told)

    @staticmethod
    async def _either(over: asyncio.Future[Any], heard: asyncio.Event) -> None:
        """Wait for the end of the process, or for something that the reader found."""
        something = asyncio.ensure_future(heard.wait())
        both: set[asyncio.Future[Any]] = {over, something}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            something.cancel()
        heard.clear()

    def _judged(self, process: AgentProcess, reader: Reader) -> Ended:
        found, closed = reader.found, self._closed.is_set()
        if found.end is not None or (exit_code(process.why) is not None and not self._interrupted and not closed):
            return ended(self._known.profile, found, process.why, process.stderr)
        return cut_off(
            process, sent=True, interrupted=self._interrupted, closed=closed, text=found.text, usage=found.usage
        )

    def _line(self, turn: Turn) -> list[str | Secret]:
        profile, opening = self._known.profile, self._opening
        values = {
            "prompt": turn.prompt.replace("\0", ""),
            "model": opening.model or self._spec.model,
            "session": self._native,
            "scratch": str(opening.scratch),
            "schema_file": self._schema(turn),
        }
        resumed = self._native is not None and profile.resume is not None
        modes = profile.modes.write if opening.mode is AgentMode.WRITE else profile.modes.read or ()
        template = (profile.resume or ()) if resumed else profile.args
        return [*self._command, *modes, *filled(template, values)]

    def _schema(self, turn: Turn) -> str | None:
        if turn.schema is None:
            return None
        path = self._opening.scratch / _SCHEMA
        path.write_text(json.dumps(turn.schema), encoding="utf-8")
        return str(path)

    async def interrupt(self) -> None:
        """End the process of the turn: such a program has no other way to be stopped."""
        self._interrupted = True
        self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._process.stop())
            self._stopping.add_done_callback(self._stopped)

    def _stopped(self, _task: asyncio.Task[None]) -> None:
        self._stopping = None

    async def wait_closed(self) -> str:
        """Wait until it is closed: between turns there is no process that could end."""
        await self._closed.wait()
        return "closed"

    async def close(self) -> None:
        """End the process of a turn that is being done, with everything it started."""
        self._closed.set()
        if self._process is not None:
            await self._process.stop()


def _hear(line: bytes, reader: Reader, heard: asyncio.Event) -> None:
    """Read a line; whoever waits is woken only by what it waits for."""
    before = (reader.found.session, reader.found.end)
    reader.line(line)
    if (reader.found.session, reader.found.end) != before:
        heard.set()


def _lost(line: str, talk: AgentTalk) -> None:
    if line.startswith("(a line of more than"):
        talk.event(Warned(line.strip("()"), "protocol"))


def _names_session(known: Known) -> bool:
    """Whether the program tells a session of its own."""
    events = any(rule.session is not None for _where, _ok, rule in known.rules)
    return events or any("session" in pattern.groupindex for pattern, _line in known.patterns)


def _cannot(known: Known, mode: AgentMode) -> list[str]:
    """What the program cannot do, in sentences for a person."""
    sentences = [_ASKS_NOT, _NO_GATEWAY]
    if mode is AgentMode.READ and known.profile.modes.read is None:
        sentences.append(_NO_READING)
    if not known.profile.tells_its_end:
        sentences.append("it tells no end of its own: that it has completed is judged by its text and its exit code")
    return sentences


def _abilities(known: Known) -> dict[str, bool]:
    groups = {name for pattern, _line in known.patterns for name in pattern.groupindex}
    usages = [rule.usage for _where, _ok, rule in known.rules if rule.usage is not None]
    return {
        "resume": known.profile.resume is not None,
        "fork": False,
        "questions": False,
        "usage": bool(usages) or "input" in groups,
        "cost": any(usage.cost is not None for usage in usages) or "cost" in groups,
        "cancel": True,
        "structured": any(rule.structured is not None for _where, _ok, rule in known.rules),
        "mcp_http": False,
        "mcp_stdio": False,
        "read_only": known.profile.modes.read is not None,
    }
