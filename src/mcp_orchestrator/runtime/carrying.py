"""How a delegation is carried out: a free place, a workspace, a session, its turns within limits, and the one end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.delegating import again_for_schema, checked, going_on, unfit, with_schema
from mcp_orchestrator.core.succession import handed_on
from mcp_orchestrator.core.translate.permissions import Option, decision, permission
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentOpening,
    AgentUsage,
    Ended,
    EndStatus,
    TroubleKind,
    Turn,
)
from mcp_orchestrator.model.delegation import DelegationState, Workspace
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.runtime import spending
from mcp_orchestrator.runtime.comparing import compared
from mcp_orchestrator.runtime.places import Places
from mcp_orchestrator.runtime.steering import NOT_OPENED

if TYPE_CHECKING:
    from mcp_orchestrator.agent_api import AgentBackend, AgentSession
    from mcp_orchestrator.runtime.delegation import Delegation
    from mcp_orchestrator.runtime.delegations import Delegations

GRACE: Final = 10.0
"""Seconds that an agent gets to end its turn by itself after it was asked to."""

CLOSING: Final = 10.0
"""Seconds that a turn gets to return after its agent was ended."""

CUT_OFF: Final = "the work was in progress when the gateway ended; how far it got is not known"
SHORTEST: Final = 0.05
SHOWN: Final = 10
_AGAIN: Final = Option("start_again", "start the agent on the task from the beginning; work may be done twice")
_RESTARTS: Final = (_AGAIN, Option("give_up", "leave it; the run ends as unknown"))
_TAKE_SCHEMAS: Final = frozenset({AgentKind.ACP, AgentKind.CLAUDE_CODE, AgentKind.CODEX, AgentKind.SCRIPTED})
_WITHOUT_TOOLS: Final = frozenset({AgentKind.A2A, AgentKind.CLI})
"""Kinds that cannot be given this gateway as their MCP server, and say so themselves."""


class Carrier:
    """Carries delegations out; at most so many at once, in all and of each agent."""

    def __init__(self, owner: Delegations) -> None:
        self._owner = owner
        self._places = Places(self._most)
        self._writers: set[tuple[str, str]] = set()

    def reconsider(self) -> None:
        """The agents, or how many runs they may have, have changed."""
        self._places.reconsider()

    def _most(self, agent: str | None) -> int:
        """How many runs may work at once: of one agent, or of all. One that is no longer there only has its runs ended."""
        if agent is None:
            return self._owner.rules.max_runs
        backend = self._owner.agents.get(agent)
        return backend.spec.max_runs if backend is not None else sys.maxsize

    async def carry(self, delegation: Delegation, doubt: tuple[str, str] | None = None) -> None:
        """The whole of it; ends with an end on record, unless the gateway itself ends first.

        `doubt` is why nobody knows whether it was begun before, and the evidence: then somebody is asked first.
        """
        try:
            ended = await self._doubted(delegation, *doubt) if doubt is not None else None
            if ended is None:
                ended = await self._by_whoever_can(delegation)
        except asyncio.CancelledError:
            raise  # the gateway ends: the record stays open, and is taken up again at the next start
        except OSError as error:
            text = f"nothing more was started, for it could not be recorded: {error}"
            ended = Ended(EndStatus.FAILED, trouble=TroubleKind.INTERNAL, message=text, retryable=True)
        except Exception as error:  # the edge of a delegation: a bug here must not take other runs along
            self._owner.engine.log.exception("delegation failed", run=delegation.kept.id, error=type(error).__name__)
            text = "internal error; the log of the gateway says more"
            ended = Ended(EndStatus.UNKNOWN, trouble=TroubleKind.INTERNAL, message=text)
        await self.finish(delegation, ended)

    async def _by_whoever_can(self, delegation: Delegation) -> Ended:
        """By one agent after the other, as the route of the run says; or by several at once, to be compared."""
        if delegation.kept.compared:
            return await compared(self._owner, delegation)
        steering, loop = self._owner.steering, asyncio.get_running_loop()
        while True:
            async with self._places.place(delegation):
                before = await steering.before(delegation)
                began, waited = loop.time(), delegation.worked
                ended = await self._within(delegation)
                used = loop.time() - began - (delegation.worked - waited)
            after = await steering.after(delegation, ended, before, used)
            if after is not None:
                return after

    async def finish(self, delegation: Delegation, ended: Ended) -> None:
        """Put the one end on record: in the state file, in the journal, and then as over in the state file.

        Whenever the gateway is killed meanwhile, the next one finds what is still to be done, and tells the end once.
        """
        delegation.dismiss()
        owner, run = self._owner, delegation.kept.id
        owner.attachments.detach(run)
        owner.stop_children(run)
        await self._tell_what_is_thrown_away(delegation)
        usage = delegation.total if ended.usage == AgentUsage() else ended.usage
        ended = delegation.cleaned(replace(ended, usage=usage, text=ended.text or _last_words(delegation)))
        owner.wages.settle(delegation, ended)
        try:
            await delegation.save(ended=ended)
            await self.close(delegation, ended)
        except OSError as error:
            owner.engine.log.error("the end of a run could not be recorded", run=run, error=str(error))  # noqa: TRY400
            delegation.kept = replace(delegation.kept, state=DelegationState.ENDED, ended=ended)
        parent = owner.parent_of(delegation.kept)
        if parent is not None:
            parent.below += (delegation.total.cost or 0) + delegation.below

    async def close(self, delegation: Delegation, ended: Ended, *, told: bool = False) -> None:
        """The end is in the state file: journal it (unless it is `told` there), and be done. Raises OSError."""
        owner, run, usage = self._owner, delegation.kept.id, ended.usage
        data = {
            "status": ended.status.value,
            "trouble": ended.trouble.value if ended.trouble is not None else None,
            "message": ended.message,
            "evidence": ended.evidence,
            "cost": usage.cost,
            "cost_source": usage.cost_source.value,
            "attached": delegation.kept.attached,
        }
        if not told:
            owner.engine.record(EventKind.DELEGATION_ENDED, run, data)
            await owner.engine.journal.commit()
        workspace = delegation.kept.workspace
        if workspace is not None and workspace.mode is AgentMode.READ:
            await owner.workspaces.discard(workspace)
        await delegation.save(state=DelegationState.ENDED, questions={})

    async def _tell_what_is_thrown_away(self, delegation: Delegation) -> None:
        workspace = delegation.kept.workspace
        if workspace is None or workspace.mode is not AgentMode.READ:
            return
        try:
            changed = (await self._owner.workspaces.changes(workspace)).files
        except ValueError:
            return  # there is no workspace any more, and nothing to lose
        if changed:
            names = ", ".join(one.path for one in changed[:SHOWN]) + (", ..." if len(changed) > SHOWN else "")
            text = f"it was to read only: what it changed was thrown away ({len(changed)} files: {names})"
            delegation.warn(text, "discarded")

    # -- one after the other ----------------------------------------------------------------------------------------

    async def _within(self, delegation: Delegation) -> Ended:
        again = delegation.kept.state is DelegationState.WORKING
        backend = self._owner.agents.get(delegation.kept.agent)
        early = self._unstarted(delegation, again=again)
        if early is not None or backend is None:
            return early or self._missing(delegation, again=again)
        try:
            workspace = await self._workspace(delegation)
        except ValueError as error:
            return Ended(EndStatus.FAILED, trouble=TroubleKind.INVALID, message=str(error), retryable=True)
        early = self._unstarted(delegation, again=again)
        if early is not None:
            return early
        writer = (delegation.kept.agent, delegation.kept.native or delegation.kept.id)
        if writer in self._writers:
            text = "another run works in this session of the agent just now"
            return Ended(EndStatus.FAILED, trouble=TroubleKind.SESSION, message=text, retryable=True)
        self._writers.add(writer)
        try:
            return await self._in_session(delegation, backend, workspace, again=again)
        finally:
            self._writers.discard(writer)

    @staticmethod
    def _missing(delegation: Delegation, *, again: bool) -> Ended:
        text = f"there is no agent '{delegation.kept.agent}' in the configuration any more"
        if again:
            return Ended(EndStatus.UNKNOWN, trouble=TroubleKind.MISSING, message=text, evidence=CUT_OFF)
        return Ended(EndStatus.FAILED, trouble=TroubleKind.MISSING, message=text, retryable=True)

    def _unstarted(self, delegation: Delegation, *, again: bool) -> Ended | None:
        """The end of a run that is not to be started (any more), or None."""
        if delegation.stop.is_set():
            status = EndStatus.LIMIT if delegation.limit is not None else EndStatus.CANCELLED
            evidence = CUT_OFF if again else "it had not been started yet"
            return Ended(status, trouble=delegation.limit, message=delegation.stopping, evidence=evidence)
        overspent = spending.overspent(delegation, self._owner.all_live)
        if overspent:
            evidence = "what was used before counts; nothing was started"
            return Ended(EndStatus.LIMIT, trouble=TroubleKind.BUDGET, message=overspent, evidence=evidence)
        return None

    async def _workspace(self, delegation: Delegation) -> Workspace:
        kept = delegation.kept
        if kept.workspace is not None:
            return kept.workspace
        origin = Path(kept.origin) if kept.origin is not None else None
        try:
            workspace = await self._owner.workspaces.prepare(kept.id, origin, kept.mode)
        except OSError as error:
            raise ValueError(f"no workspace could be made: {error}") from error
        await delegation.save(workspace=workspace)
        data = {"path": workspace.path, "origin": workspace.origin, "base": workspace.base, "mode": kept.mode.value}
        self._owner.engine.record(EventKind.WORKSPACE_MADE, kept.id, data)
        return workspace

    async def _in_session(
        self, delegation: Delegation, backend: AgentBackend, workspace: Workspace, *, again: bool
    ) -> Ended:
        owner, kept = self._owner, delegation.kept
        takes_tools = AgentKind(kept.kind) not in _WITHOUT_TOOLS
        attachment = owner.attachments.attach(kept, lambda: self._seen(delegation)) if takes_tools else None
        opening = AgentOpening(
            cwd=Path(workspace.path),
            scratch=Path(workspace.scratch),
            mode=kept.mode,
            model=backend.spec.model,
            resume=kept.native if again else None,
            attachment=attachment,
        )
        if attachment is not None:
            for _name, secret in attachment.env[:1]:
                delegation.hide(secret)
        state = kept.state if again else DelegationState.STARTING
        await delegation.save(state=state, attempts=kept.attempts + 1)
        owner.engine.record(EventKind.DELEGATION_STARTED, kept.id, {"agent": kept.agent, "again": again})
        await owner.engine.journal.commit()
        try:
            session = await _opened(backend, opening, delegation.stop)
        except BackendError as error:
            return await self._not_opened(delegation, error, again=again)
        if session is None:
            evidence = CUT_OFF if again else "it was being started"
            return Ended(EndStatus.CANCELLED, message=delegation.stopping, evidence=evidence)
        try:
            ended = await self._turns(delegation, session, again=again)
        finally:
            await session.close()
        if attachment is not None and not delegation.kept.attached:
            delegation.warn("the agent never connected to this gateway, so none of its tools were there for it", "mcp")
        return ended

    async def _not_opened(self, delegation: Delegation, error: BackendError, *, again: bool) -> Ended:
        if again:
            text = f"the session could not be taken up again after a restart of the gateway: {error.message}"
            doubted = await self._doubted(delegation, text, CUT_OFF, TroubleKind.SESSION)
            return doubted or await self._within(delegation)
        kinds = {FailureKind.REFUSED: TroubleKind.AUTH, FailureKind.DIED: TroubleKind.CRASH}
        trouble = kinds.get(error.kind, TroubleKind.MISSING)
        evidence = "" if error.sent else NOT_OPENED
        return Ended(
            EndStatus.FAILED, trouble=trouble, message=error.message, retryable=not error.sent, evidence=evidence
        )

    async def _doubted(
        self, delegation: Delegation, text: str, evidence: str, trouble: TroubleKind = TroubleKind.CRASH
    ) -> Ended | None:
        """Nobody knows how far a run got. None: somebody wants it started anew; else it ends as unknown."""
        kept = delegation.kept
        details = f"run {kept.id} of agent {kept.agent}: {text}\n{evidence}\n\nThe task: {kept.task}"
        question = permission("The gateway", "know what to do about a run that was cut off", details, _RESTARTS)
        answer = await delegation.ask(question)
        if decision(answer, _RESTARTS) == _AGAIN.id:
            await delegation.save(state=DelegationState.ACCEPTED, native=None, turn=None, attempts=0)
            return None
        return Ended(EndStatus.UNKNOWN, trouble=trouble, message=text, evidence=evidence)

    def _seen(self, delegation: Delegation) -> None:
        if not delegation.kept.attached:
            delegation.kept = replace(delegation.kept, attached=True)
            self._owner.engine.record(EventKind.AGENT_ATTACHED, delegation.kept.id, {"agent": delegation.kept.agent})

    async def _turns(self, delegation: Delegation, session: AgentSession, *, again: bool) -> Ended:
        kept = delegation.kept
        # Agents that cannot be given a schema are asked for JSON in words; either way we check what comes.
        task = kept.task if AgentKind(kept.kind) in _TAKE_SCHEMAS else with_schema(kept.task, kept.schema)
        turn = Turn(
            prompt=going_on(task) if again else handed_on(task, kept.tried),
            schema=kept.schema,
            max_turns=int(kept.limits["turns"]) if "turns" in kept.limits else None,
            max_cost=int(spending.left_of(delegation, self._owner.all_live)["cost"]) if "cost" in kept.limits else None,
            rejoin=kept.turn if again else None,
        )
        if session.native is not None:
            await delegation.bound(session.native)
        ended, faults = checked(await self._priced(delegation, session, turn), kept.schema)
        if faults and kept.schema is not None and not delegation.stop.is_set():
            delegation.warn(f"the answer did not fit the output schema, the agent is asked once more: {faults[0]}")
            if ended.usage != AgentUsage():
                delegation.usage = ended.usage
            delegation.next_turn()
            turn = replace(turn, prompt=again_for_schema(faults, kept.schema), rejoin=None)
            ended, faults = checked(await self._priced(delegation, session, turn), kept.schema)
        if faults:
            ended = unfit(ended, faults)
        if ended.usage != AgentUsage():
            delegation.usage = ended.usage
        return replace(ended, usage=delegation.total)

    async def _priced(self, delegation: Delegation, session: AgentSession, turn: Turn) -> Ended:
        """One turn, with its cost computed where the agent told tokens alone."""
        ended = await self._turn(delegation, session, turn)
        return await self._owner.wages.priced_end(ended, self._owner.model_of(delegation.kept))

    async def _turn(self, delegation: Delegation, session: AgentSession, turn: Turn) -> Ended:
        """One turn within its time; ended by the agent's own means first, then by ending the agent."""
        loop = asyncio.get_running_loop()
        began, waited, seconds = loop.time(), delegation.worked, delegation.kept.limits.get("seconds", 3600.0)
        working = asyncio.ensure_future(session.turn(turn, delegation))
        stopped = asyncio.ensure_future(delegation.stop.wait())
        try:
            while True:
                left = seconds - (loop.time() - began - (delegation.worked - waited))
                if left <= 0 and not delegation.open:
                    delegation.limit = TroubleKind.TIMEOUT
                    delegation.cancel(f"it took longer than {seconds:g} s")
                await asyncio.wait({working, stopped}, timeout=max(left, SHORTEST), return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return self._judged(delegation, working.result())
                if stopped.done():
                    return self._judged(delegation, await self._stopped(session, working))
        finally:
            stopped.cancel()
            if not working.done():
                working.cancel()

    async def _stopped(self, session: AgentSession, working: asyncio.Future[Ended]) -> Ended:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await session.interrupt()
        await asyncio.wait({working}, timeout=GRACE)
        if not working.done():
            await session.close()
            await asyncio.wait({working}, timeout=CLOSING)
        if working.done():
            return working.result()
        evidence = "the agent did not stop when asked to, and was ended"
        return Ended(EndStatus.CANCELLED, trouble=TroubleKind.CRASH, evidence=evidence)

    @staticmethod
    def _judged(delegation: Delegation, ended: Ended) -> Ended:
        """What the end of a turn means when we had asked for it."""
        if not delegation.stop.is_set() or ended.status is EndStatus.COMPLETED:
            return ended
        status = EndStatus.LIMIT if delegation.limit is not None else EndStatus.CANCELLED
        return replace(
            ended,
            status=status,
            trouble=delegation.limit,
            message=delegation.stopping,
            evidence=ended.evidence or "it was asked to stop",
        )


async def _opened(backend: AgentBackend, opening: AgentOpening, stop: asyncio.Event) -> AgentSession | None:
    """An open session; None when the run was stopped first. Raises BackendError."""
    spec = backend.spec
    coming = asyncio.ensure_future(backend.open(opening))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        waited: set[asyncio.Future[Any]] = {coming, stopped}
        await asyncio.wait(waited, timeout=spec.start_timeout, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            return coming.result()
        if stopped.done():
            return None
        text = f"agent '{spec.name}' was not ready within {spec.start_timeout:g} s (agents.*.startTimeout)"
        raise BackendError(FailureKind.UNAVAILABLE, text)
    finally:
        stopped.cancel()
        if not coming.done():
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, BackendError):
                await (await coming).close()


def _last_words(delegation: Delegation) -> str:
    return delegation.text[-20_000:]
