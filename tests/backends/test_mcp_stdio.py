"""Stdio servers of both eras, well-behaved, slow, hung, noisy and dying."""

import asyncio
import json
import os
import signal

import anyio
import pytest
from stdio_kit import LEGACY_CLIENT, MODERN_CLIENT, RecordingTalk, gone, spec, tool_call

from mcp_orchestrator.backends import mcp_stdio
from mcp_orchestrator.backends.mcp_handshake import Agreement
from mcp_orchestrator.backends.mcp_stdio import StdioBackend
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import CONNECTION_CLOSED, UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.snapshot import EraPolicy
from mcp_orchestrator.plugin_api import ListChanged, Opening, ResourceUpdated, Session

pytestmark = pytest.mark.anyio


class Heard:
    """Events and lines of a session, with a way to wait for them."""

    def __init__(self):
        self.events, self.lines, self.changed = [], [], anyio.Event()

    def event(self, event):
        self.events.append(event)
        self.changed.set()

    def line(self, line):
        self.lines.append(line)
        self.changed.set()

    async def until(self, condition):
        with anyio.fail_after(20):
            while not condition(self):
                self.changed = anyio.Event()
                await self.changed.wait()


@pytest.fixture
async def open_session(reaper):
    opened = []

    async def make(*flags, era=None, heard=None, settings=None, **opening) -> Session:
        backend = StdioBackend(spec(*flags, **(settings or {})), reaper)
        if heard is not None:
            opening |= {"on_event": heard.event, "on_stderr": heard.line}
        try:
            with anyio.fail_after(40):
                session = await backend.open(Opening(era, **opening))
        finally:
            opened.append(backend.aclose)
        opened.append(session.close)
        return session

    yield make
    for close in reversed(opened):
        await close()


def body(outcome):
    assert isinstance(outcome, Completed), outcome
    return json.loads(outcome.result)


# -- finding out the era -------------------------------------------------------------------------------------------

FINDS = [
    (["--era", "both"], Era.MODERN),
    (["--era", "modern"], Era.MODERN),
    (["--era", "legacy"], Era.LEGACY),
    (["--era", "legacy", "--die-on-discover"], Era.LEGACY),
    (["--era", "legacy", "--locks"], Era.LEGACY),
    (["--era", "legacy", "--early"], Era.LEGACY),
]


@pytest.mark.parametrize(("flags", "era"), FINDS)
async def test_the_era_is_found_whatever_the_server_does_with_the_question(open_session, flags, era):
    session = await open_session(*flags)
    assert session.era is era
    offers = await session.offers()
    assert (offers.era, [tool["name"] for tool in offers.tools]) == (era, ["echo", "hang", "ask", "die"])
    assert offers.server_info == {"name": "raw", "version": "1"}
    client = MODERN_CLIENT if era is Era.MODERN else LEGACY_CLIENT
    assert body(await session.invoke(tool_call("echo", client=client), RecordingTalk())) == {"content": []}


async def test_a_server_that_never_answers_what_it_does_not_know_is_asked_both_questions(open_session, monkeypatch):
    monkeypatch.setattr(mcp_stdio, "SILENCE", 0.1)
    assert (await open_session("--era", "legacy", "--ignore-discover")).era is Era.LEGACY


async def test_a_slow_start_does_not_lead_to_the_wrong_era(open_session, monkeypatch):
    monkeypatch.setattr(mcp_stdio, "SILENCE", 0.0)
    assert (await open_session("--era", "both")).era is Era.MODERN
    assert (await open_session("--era", "modern")).era is Era.MODERN
    assert (await open_session("--era", "legacy")).era is Era.LEGACY


async def test_initialize_refused_before_discovery_is_answered_is_no_verdict(reaper):
    """Both questions are on the pipe; a modern server may answer them in either order."""
    agreed = Agreement(Era.MODERN, "2026-07-28", {}, {}, None)
    refusal = BackendError(FailureKind.BACKEND_ERROR, "era", code=UNSUPPORTED_VERSION)
    discovered, refused = asyncio.Event(), asyncio.Event()

    async def modern(result):
        await discovered.wait()
        return result

    async def legacy():
        await refused.wait()
        raise refusal

    for result, first in ((agreed, refused), (agreed, discovered), (None, refused)):
        discovered.clear()
        refused.clear()
        backend = StdioBackend(spec(), reaper)
        tasks = asyncio.ensure_future(modern(result)), asyncio.ensure_future(legacy())
        found = asyncio.ensure_future(backend._first_usable(*tasks, None))
        first.set()
        await anyio.wait_all_tasks_blocked()
        discovered.set()
        refused.set()
        with anyio.fail_after(5):
            if result is None:
                with pytest.raises(BackendError, match="era"):
                    await found
            else:
                assert await found is agreed
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("era", list(Era))
async def test_a_server_with_both_eras_is_opened_in_the_wanted_one(open_session, era):
    assert (await open_session(era=era)).era is era


@pytest.mark.parametrize("era", list(Era))
async def test_a_wanted_era_that_the_server_has_not_is_a_verdict(open_session, era):
    with pytest.raises(BackendError) as caught:
        await open_session("--era", era.other.value, era=era)
    assert (caught.value.kind, caught.value.code) == (FailureKind.BACKEND_ERROR, UNSUPPORTED_VERSION)


async def test_the_era_of_the_configuration_is_not_probed(open_session):
    session = await open_session(settings={"era": EraPolicy.LEGACY})
    assert session.era is Era.LEGACY


async def test_a_server_that_wants_an_unknown_version_is_refused(open_session):
    with pytest.raises(BackendError, match="wants protocol version '1999-01-01'"):
        await open_session("--era", "legacy", "--version", "1999-01-01")


# -- starts that fail ----------------------------------------------------------------------------------------------


async def test_a_server_that_ends_at_once_is_told_with_exit_code_and_where_to_look(open_session):
    heard = Heard()
    with pytest.raises(BackendError) as caught:
        await open_session("--exit", "1", heard=heard)
    assert caught.value.kind is FailureKind.UNAVAILABLE
    assert caught.value.message == (
        "backend raw ended (exit code 1) while starting. What it printed: mcp-orchestrator backends show raw"
    )
    assert "cannot start: no key" in heard.lines


async def test_a_silent_server_is_given_up_in_time_and_ended(reaper):
    backend = StdioBackend(spec("--silent", start_timeout=1.0), reaper)
    with anyio.fail_after(5), pytest.raises(BackendError, match="did not answer within 1 s") as caught:
        await backend.open(Opening(None))
    assert caught.value.kind is FailureKind.UNAVAILABLE
    await backend.aclose()
    assert reaper._groups == {}


async def test_an_opening_that_is_cancelled_leaves_no_process(reaper):
    backend = StdioBackend(spec("--silent"), reaper)
    with anyio.move_on_after(0.5):
        await backend.open(Opening(Era.LEGACY))
    await backend.aclose()
    assert reaper._groups == {}


async def test_a_program_that_is_missing_is_told_at_once(reaper):
    backend = StdioBackend(spec(command="no-such-program-here"), reaper)
    with pytest.raises(BackendError, match="'no-such-program-here' is not on the PATH"):
        await backend.open(Opening(None))


# -- calls ---------------------------------------------------------------------------------------------------------


async def test_a_modern_server_sees_the_real_client(open_session):
    session = await open_session(era=Era.MODERN, client_info={"name": "gateway", "version": "1"})
    asked = tool_call("params", client=MODERN_CLIENT, meta={"traceparent": "00-1"}, log_level="info", a=None)
    params = body(await session.invoke(asked, RecordingTalk()))["params"]
    prefix = "io.modelcontextprotocol/"
    assert params["arguments"] == {"a": None}
    assert params["_meta"] == {
        "traceparent": "00-1",
        prefix + "protocolVersion": "2026-07-28",
        prefix + "clientInfo": {"name": "ada", "version": "7"},
        prefix + "clientCapabilities": {"elicitation": {}},
        prefix + "logLevel": "info",
    }


async def test_a_legacy_server_sees_only_what_the_client_sent(open_session):
    session = await open_session(era=Era.LEGACY)
    assert "_meta" not in body(await session.invoke(tool_call("params"), RecordingTalk()))["params"]


async def test_two_hundred_steps_of_progress_come_in_order_before_the_result(open_session):
    for era in Era:
        session = await open_session(era=era)
        talk = RecordingTalk()
        client = MODERN_CLIENT if era is Era.MODERN else LEGACY_CLIENT
        asked = tool_call("progress", client=client, wants_progress=True, steps=200)
        task = asyncio.ensure_future(session.invoke(asked, talk))
        task.add_done_callback(lambda _task, talk=talk: talk.said.append("done"))
        assert body(await task) == {"content": []}
        await anyio.lowlevel.checkpoint()
        assert talk.said == [*(("progress", {"progress": step}) for step in range(200)), "done"]


async def test_an_error_of_the_server_passes_untouched(open_session):
    session = await open_session(era=Era.LEGACY)
    outcome = await session.invoke(Invocation("r", "vendor/x", {}, {}, LEGACY_CLIENT), RecordingTalk())
    assert outcome == Failed(FailureKind.BACKEND_ERROR, -32601, "Method not found")


async def test_a_cancelled_call_is_told_to_the_server_and_the_session_stays(open_session):
    session = await open_session(era=Era.LEGACY)
    task = asyncio.ensure_future(session.invoke(tool_call("hang"), RecordingTalk()))
    await session.invoke(tool_call("echo"), RecordingTalk())
    task.cancel("the client left")
    with pytest.raises(asyncio.CancelledError):
        await task
    (told,) = body(await session.invoke(tool_call("cancelled"), RecordingTalk()))["cancelled"]
    assert told["reason"] == "the client left"


async def test_a_question_travels_to_the_call_and_back(open_session):
    session = await open_session(era=Era.LEGACY, capabilities={"elicitation": {}})
    talk = RecordingTalk(Answer(result={"action": "accept", "content": {"name": "ada"}}))
    outcome = await session.invoke(tool_call("ask", method="elicitation/create"), talk)
    assert body(outcome)["answer"]["result"] == {"action": "accept", "content": {"name": "ada"}}


async def test_a_question_among_several_calls_is_declined_unless_they_are_all_one_clients(open_session):
    for exclusive, action in ((False, "decline"), (True, "accept")):
        session = await open_session(era=Era.LEGACY, exclusive=exclusive)
        hanging = asyncio.ensure_future(session.invoke(tool_call("hang"), RecordingTalk()))
        outcome = await session.invoke(tool_call("ask", method="elicitation/create"), RecordingTalk())
        assert body(outcome)["answer"]["result"]["action"] == action
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_calls_run_side_by_side(open_session):
    session = await open_session()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(session.invoke(tool_call("params", client=MODERN_CLIENT, n=n), RecordingTalk()))
            for n in range(200)
        ]
    assert [body(task.result())["params"]["arguments"]["n"] for task in tasks] == list(range(200))


# -- lying, flooding and dying servers -----------------------------------------------------------------------------


async def test_log_lines_on_standard_output_do_no_harm_and_are_shown(open_session):
    heard = Heard()
    session = await open_session(era=Era.LEGACY, heard=heard)
    assert body(await session.invoke(tool_call("noise"), RecordingTalk())) == {"content": []}
    assert heard.lines == ["stdout: Listening on stdio", "stdout: {not json", "stdout: []"]


async def test_a_batch_is_an_answer_too(open_session):
    session = await open_session(era=Era.LEGACY)
    assert body(await session.invoke(tool_call("batch"), RecordingTalk())) == {"batch": True}


async def test_a_flood_on_standard_error_does_not_delay_an_answer_for_ever(open_session):
    heard = Heard()
    session = await open_session(era=Era.LEGACY, heard=heard)
    with anyio.fail_after(10):
        assert body(await session.invoke(tool_call("stderr", lines=100_000), RecordingTalk())) == {"content": []}
    assert len(heard.lines) < 50_000


@pytest.mark.parametrize("tool", ["big", "big_id_last"])
async def test_an_answer_over_the_limit_fails_its_own_call_only(open_session, tool):
    session = await open_session(era=Era.LEGACY, settings={"max_result_bytes": 100_000})
    hanging = asyncio.ensure_future(session.invoke(tool_call("hang"), RecordingTalk()))
    outcome = await session.invoke(tool_call(tool, bytes=1_000_000), RecordingTalk())
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.BAD_ANSWER
    assert "maxResultBytes" in outcome.message
    assert body(await session.invoke(tool_call("big", bytes=90_000), RecordingTalk()))
    assert not hanging.done()
    hanging.cancel()


async def test_a_line_without_end_and_owner_ends_the_session_with_a_reason(open_session):
    session = await open_session(era=Era.LEGACY, settings={"max_result_bytes": 100_000})
    with anyio.fail_after(20):
        outcome = await session.invoke(tool_call("endless"), RecordingTalk())
        assert outcome.kind is FailureKind.DIED
        assert "bytes that belongs to no call" in await session.wait_closed()


async def test_a_server_killed_in_the_middle_of_a_call_is_a_clear_failure_and_nothing_is_repeated(open_session):
    session = await open_session(era=Era.LEGACY)
    calls = [asyncio.ensure_future(session.invoke(tool_call("hang"), RecordingTalk())) for _ in range(3)]
    await session.invoke(tool_call("echo"), RecordingTalk())
    os.kill(session.pid, signal.SIGKILL)
    with anyio.fail_after(3):
        for outcome in await asyncio.gather(*calls):
            assert (outcome.kind, outcome.code, outcome.retryable) == (FailureKind.DIED, CONNECTION_CLOSED, False)
            assert outcome.message.startswith("backend raw was ended by signal SIGKILL while the call was running;")
        assert await session.wait_closed() == "backend raw was ended by signal SIGKILL"
    outcome = await session.invoke(tool_call("echo"), RecordingTalk())
    assert (outcome.kind, outcome.retryable) == (FailureKind.UNAVAILABLE, True)


async def test_an_exit_in_the_middle_of_a_call_tells_the_exit_code(open_session):
    session = await open_session(era=Era.LEGACY)
    outcome = await session.invoke(tool_call("die", code=7), RecordingTalk())
    assert "ended (exit code 7)" in outcome.message


async def test_an_answer_written_just_before_the_end_counts(open_session):
    session = await open_session(era=Era.LEGACY)
    assert body(await session.invoke(tool_call("last_words"), RecordingTalk())) == {"last": True}


async def test_closing_ends_the_whole_tree_and_may_be_repeated(open_session):
    session = await open_session(era=Era.LEGACY)
    pids = body(await session.invoke(tool_call("offspring"), RecordingTalk()))["pids"]
    with anyio.fail_after(10):
        await session.close()
        await session.close()
    for pid in [*pids, session.pid]:
        assert await anyio.to_thread.run_sync(gone, pid)
    assert await session.wait_closed() == "backend raw was stopped"


async def test_what_is_in_flight_when_the_session_is_closed_is_told(open_session):
    session = await open_session(era=Era.LEGACY)
    call = asyncio.ensure_future(session.invoke(tool_call("hang"), RecordingTalk()))
    await session.invoke(tool_call("echo"), RecordingTalk())
    await session.close()
    assert (await call).kind is FailureKind.DIED


async def test_a_hung_list_is_given_up(open_session):
    session = await open_session(era=Era.LEGACY, settings={"start_timeout": 1.0})
    await session.invoke(tool_call("stop_reading"), RecordingTalk())
    with anyio.fail_after(5), pytest.raises(BackendError, match="did not list what it offers within 1 s"):
        await session.offers()


# -- changes -------------------------------------------------------------------------------------------------------


async def test_a_modern_server_is_listened_to_and_resources_can_be_subscribed(open_session):
    heard = Heard()
    session = await open_session(era=Era.MODERN, heard=heard)
    await heard.until(lambda h: ListChanged(OfferKind.TOOL) in h.events)
    for method in ("resources/subscribe", "resources/unsubscribe"):
        asked = Invocation("r", method, {"uri": "file:///a"}, {}, MODERN_CLIENT)
        assert body(await session.invoke(asked, RecordingTalk())) == {"resultType": "complete"}
        if method == "resources/subscribe":
            await heard.until(lambda h: any(isinstance(e, ResourceUpdated) for e in h.events))
    seen = body(await session.invoke(tool_call("subscriptions", client=MODERN_CLIENT), RecordingTalk()))
    assert seen["subscriptions"][:2] == [
        {"toolsListChanged": True},
        {"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]},
    ]


async def test_notifications_before_initialized_are_heard(open_session):
    heard = Heard()
    await open_session("--era", "legacy", "--early", heard=heard, era=Era.LEGACY)
    assert ListChanged(OfferKind.TOOL) in heard.events


async def test_a_notification_of_the_client_is_passed_on(open_session):
    session = await open_session(era=Era.LEGACY)
    await session.notify("notifications/cancelled", {"requestId": "mine"})
    assert body(await session.invoke(tool_call("cancelled"), RecordingTalk()))["cancelled"] == [{"requestId": "mine"}]


# -- real servers --------------------------------------------------------------------------------------------------


def real(argv, **settings):
    return {"command": argv[0], "args": tuple(argv[1:]), "start_timeout": 60.0, **settings}


@pytest.mark.real
@pytest.mark.parametrize("era", [None, *Era])
async def test_a_real_server_of_both_eras(open_session, pypi_server, era):
    session = await open_session(era=era, settings=real(pypi_server("mcp-server-time")))
    assert session.era is (era or Era.MODERN)
    assert [tool["name"] for tool in (await session.offers()).tools] == ["get_current_time", "convert_time"]
    client = MODERN_CLIENT if session.era is Era.MODERN else LEGACY_CLIENT
    outcome = await session.invoke(tool_call("get_current_time", client=client, timezone="UTC"), RecordingTalk())
    assert body(outcome)["structuredContent"]["timezone"] == "UTC"


@pytest.mark.real
async def test_a_real_server_of_the_legacy_era_on_python(open_session, pypi_legacy_server):
    session = await open_session(settings=real(pypi_legacy_server("mcp-server-time")))
    assert session.era is Era.LEGACY
    assert len((await session.offers()).tools) == 2


@pytest.mark.real
async def test_a_real_server_on_typescript_with_progress_and_questions(open_session, npm_server):
    session = await open_session(
        settings=real(npm_server("server-everything", "stdio")), capabilities={"elicitation": {}, "sampling": {}}
    )
    assert session.era is Era.LEGACY
    offers = await session.offers()
    assert "echo" in {tool["name"] for tool in offers.tools}
    assert offers.resources
    assert offers.templates
    assert offers.prompts
    talk = RecordingTalk()
    asked = tool_call("trigger-long-running-operation", wants_progress=True, duration=0.2, steps=4)
    assert "completed" in body(await session.invoke(asked, talk))["content"][0]["text"]
    assert [params["progress"] for _, params in talk.said] == [1, 2, 3, 4]
    talk = RecordingTalk(Answer(result={"action": "decline"}))
    outcome = await session.invoke(tool_call("trigger-elicitation-request"), talk)
    assert [question.method for question in talk.questions] == ["elicitation/create"]
    assert "decline" in body(outcome)["content"][0]["text"].lower()
