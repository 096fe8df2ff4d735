"""How a `tools/call` is carried out where tasks are in play: whose word for them counts, and who carries the task.

| client | backend | what happens |
|---|---|---|
| modern, declares the extension | modern | its task is passed on under an id of ours |
| modern, declares it | legacy, tool may or must be a task | we ask for the task and follow it; the client sees our run as a task |
| modern, does not declare it | legacy, tool must be a task | we follow the task; the client sees a call |
| modern, does not declare it | modern, tool must be a task | the server's refusal (-32021) is passed on |
| legacy, without `task` | modern, tool must be a task | we declare the extension and follow the task; the client sees a call |
| legacy, sends `task` | legacy | its task is passed on under an id of ours |
| legacy, sends `task` | modern with the extension | the run becomes a task at once; we follow the server's task, if it makes one |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.core.translate import tasks as words
from mcp_orchestrator.core.translate.links import WORD
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Invocation
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.plugin_api import Session
from mcp_orchestrator.runtime.questions import rounds
from mcp_orchestrator.runtime.task_following import Following, Labelled
from mcp_orchestrator.runtime.task_run import KEPT

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.run import Run

_WANTED: Final[Mapping[str, Any]] = {"ttl": round(KEPT * 1000)}


_SPECIAL: Final = (b'"taskId"', b'"input_required"', WORD)
_LOOKED_THROUGH: Final = 64 * 1024


def plain_road(call: Call, era: Era) -> bool:
    """Whether a call is of the most frequent sort: a tool, modern to modern, by a client without extensions.

    Nothing needs to be put to the backend in other words, and only a special result needs to be looked at.
    """
    client = call.client
    return (
        call.kind is CallKind.TOOL
        and era is Era.MODERN
        and client.era is Era.MODERN
        and not client.capabilities.get("extensions")
    )


def says_nothing_special(result: bytes) -> bool:
    """Whether a result can neither be a task, nor ask, nor link to a resource: it goes on as it is."""
    return len(result) <= _LOOKED_THROUGH and not any(word in result for word in _SPECIAL)


async def carried(
    run: Run,
    session: Session,
    invocation: Invocation,
    target: Target,
    *,
    carrier: ClientFace,
    abilities: Mapping[str, Any],
) -> Outcome:
    """Carry out the request of a run.

    `carrier` is the client as one to whom questions may be carried, `abilities` what the backend declared in the era
    of the session.
    """
    client = run.call.client
    if invocation.method != words.CREATING:
        talk = Labelled(run, target.name, run.call.name) if invocation.method == "tasks/result" else run
        return await rounds(talk, session, invocation, carrier)
    able = words.offers_tasks(abilities, session.era)
    match client.era, session.era:
        case Era.MODERN, Era.LEGACY:
            return await _modern_to_legacy(run, carrier, session, _without_task(invocation), target, able=able)
        case Era.LEGACY, Era.MODERN:
            return await _legacy_to_modern(run, carrier, session, invocation, able=able)
        case Era.LEGACY, Era.LEGACY:
            if run.plan.others is not None and "task" in invocation.params:
                run.tasks.promote(run, ahead=True)
                invocation = _without_task(invocation)
            return await rounds(run, session, invocation, carrier)
        case _:
            outcome = await _asked(run, carrier, session, invocation)
            if words.declares(client) and run.plan.others is None:  # of a logical tool the result is ours to make
                return outcome if run.face is None else await _followed(run, session, invocation, outcome)
            return await _followed(run, session, invocation, outcome)  # a task that nobody asked for


async def _asked(run: Run, carrier: ClientFace, session: Session, invocation: Invocation) -> Outcome:
    """Invoke; questions are put by us as soon as the run has become a task, for then nobody carries them."""
    return await rounds(run, session, invocation, carrier, ours=lambda: run.face is not None)


async def finished(run: Run, carrier: ClientFace, session: Session, invocation: Invocation, first: Outcome) -> Outcome:
    """What becomes of a plain call whose first outcome is special after all: questions put, tasks followed."""
    ours = lambda: run.face is not None  # noqa: E731 - one line
    outcome = await rounds(run, session, invocation, carrier, ours=ours, first=first)
    return await _followed(run, session, invocation, outcome)


async def _followed(run: Run, session: Session, invocation: Invocation, outcome: Outcome) -> Outcome:
    task = words.created(outcome.result, session.era) if isinstance(outcome, Completed) else None
    return outcome if task is None else await Following(run, session, invocation, task).to_the_end()


async def _insisting(
    run: Run, carrier: ClientFace, session: Session, invocation: Invocation, outcome: Outcome, *, able: bool
) -> Outcome:
    """Where a modern server refused a client without the extension, call again as one that has it: nothing was done yet."""
    if able and isinstance(outcome, Failed) and words.wants_tasks(outcome):
        invocation = _declaring(invocation)
        outcome = await _asked(run, carrier, session, invocation)
    return await _followed(run, session, invocation, outcome)


async def _modern_to_legacy(
    run: Run, carrier: ClientFace, session: Session, invocation: Invocation, target: Target, *, able: bool
) -> Outcome:
    support = words.support(target.offer.definition if target.offer is not None else None)
    declared = words.declares(run.call.client)
    if not able or support == "forbidden" or (support == "optional" and not declared):
        return await _asked(run, carrier, session, invocation)
    invocation = dataclasses.replace(invocation, params={**invocation.params, "task": _WANTED})
    outcome = await _asked(run, carrier, session, invocation)
    task = words.created(outcome.result, Era.LEGACY) if isinstance(outcome, Completed) else None
    if task is None:
        return outcome
    if declared:
        run.tasks.promote(run, ahead=True)
    return await Following(run, session, invocation, task).to_the_end()


async def _legacy_to_modern(
    run: Run, carrier: ClientFace, session: Session, invocation: Invocation, *, able: bool
) -> Outcome:
    wanted = "task" in invocation.params
    invocation = _without_task(invocation)
    ours = run.plan.others is not None
    if wanted and (able or ours) and run.tasks.promote(run, ahead=True) and able:
        invocation = _declaring(invocation)
    return await _insisting(
        run, carrier, session, invocation, await _asked(run, carrier, session, invocation), able=able
    )


def _declaring(invocation: Invocation) -> Invocation:
    client = invocation.client
    return dataclasses.replace(
        invocation, client=dataclasses.replace(client, capabilities=words.with_extension(client.capabilities))
    )


def _without_task(invocation: Invocation) -> Invocation:
    """Without the legacy `task` parameter, which means nothing in the other era, or would mean too much."""
    if "task" not in invocation.params:
        return invocation
    params = {key: value for key, value in invocation.params.items() if key != "task"}
    return dataclasses.replace(invocation, params=params)
