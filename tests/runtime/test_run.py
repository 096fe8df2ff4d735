"""A run ends with an outcome that is in the journal before anyone sees it."""

import anyio
import pytest
from engines import MODERN, Ear, FakeBackend, asking, spec, tool_call, whole

from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.model.call import Call, CallKind, Era, Principal
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal
from mcp_orchestrator.testing.fake_backend import echo

pytestmark = pytest.mark.anyio


def said(outcome):
    return decode(decode(outcome.result)["content"][0]["text"])


async def test_a_call_reaches_the_backend_under_its_own_name_with_everything_else_untouched(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        asked = tool_call("one__echo", strange=[None, 1.5])
        asked.params["x-unknown"] = {"a": 1}
        asked.meta["vendor/key"] = 7
        outcome = await made.gateway.start(asked, Ear()).outcome()
        assert said(outcome) == {
            "method": "tools/call",
            "params": {"name": "echo", "arguments": {"strange": [None, 1.5]}, "x-unknown": {"a": 1}},
            "meta": {"vendor/key": 7},
        }


async def test_start_and_end_of_a_run_are_journalled_with_reasons_and_a_digest_of_the_arguments(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        await made.call("one__echo", secret="hunter2")
        start, end = made.journal.events[-2:]
        assert (start.kind, end.kind) == ("run.started", "run.ended")
        assert start.run == end.run
        assert [reason.step for reason in start.data["reasons"]] == [
            "identity",
            "catalog",
            "schema",
            "policy",
            "budget",
        ]
        assert len(start.data["arguments"]) == 64
        assert "hunter2" not in repr(made.journal.events)
        assert end.data["status"] == "completed"


async def test_a_refused_call_is_journalled_and_never_sent(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        outcome = await made.call("two__nothing")
        assert isinstance(outcome, Completed | Failed)
        refused = await made.gateway.start(tool_call("zzz", asking("s")), Ear()).outcome()
        assert refused is not None
        backend.tools[0]["inputSchema"]["required"] = ["q"]
        await made.supervisor("one").restart()
        await anyio.wait_all_tasks_blocked()
        sent = len(backend.sessions[-1].invocations)
        assert isinstance(await made.call("one__echo"), ToolRefusal)
        assert len(backend.sessions[-1].invocations) == sent
        assert "call.refused" in made.journal.kinds()


async def test_a_backend_that_dies_under_a_call_gives_a_clear_error_and_is_not_called_again(tmp_path):
    began = anyio.Event()

    async def hang(_invocation, _talk):
        began.set()
        await anyio.sleep_forever()

    backend = FakeBackend("one", play=hang)
    async with whole(tmp_path, backend) as made:
        run = made.gateway.start(tool_call("one__echo"), Ear())
        await began.wait()
        backend.sessions[0].die()
        outcome = await run.outcome()
        assert outcome.kind is FailureKind.DIED
        assert not outcome.retryable
        assert sum(len(session.invocations) for session in backend.sessions) == 1


async def test_a_call_that_takes_too_long_ends_with_what_is_known(tmp_path):
    async def hang(_invocation, _talk):
        await anyio.sleep_forever()

    async with whole(tmp_path, FakeBackend("one", play=hang), specs=[spec("one", timeout=0.05)]) as made:
        outcome = await made.call("one__echo")
        assert outcome.kind is FailureKind.TIMEOUT
        assert "may have had effects and was not repeated" in outcome.message


async def test_a_cancelled_run_ends_as_cancelled_and_the_backend_hears_of_it(tmp_path):
    began, stopped = anyio.Event(), anyio.Event()

    async def hang(_invocation, _talk):
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with whole(tmp_path, FakeBackend("one", play=hang)) as made:
        run = made.gateway.start(tool_call("one__echo"), Ear())
        await began.wait()
        run.cancel("the user pressed escape")
        outcome = await run.outcome()
        assert outcome.kind is FailureKind.CANCELLED
        with anyio.fail_after(2):
            await stopped.wait()
        assert made.journal.events[-1].data["status"] == "cancelled"


async def test_a_run_outlives_the_one_who_waits_for_it(tmp_path):
    began, go = anyio.Event(), anyio.Event()

    async def wait(_invocation, _talk):
        began.set()
        await go.wait()
        return Completed(b"{}", Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=wait)) as made:
        run = made.gateway.start(tool_call("one__echo"), Ear())
        await began.wait()
        with anyio.move_on_after(0.01):
            await run.outcome()
        go.set()
        assert isinstance(await run.outcome(), Completed)


async def test_a_bug_in_an_adapter_ends_one_run_and_no_other(tmp_path):
    async def bug(_invocation, _talk):
        raise ZeroDivisionError

    backend = FakeBackend("one", play=bug)
    async with whole(tmp_path, backend) as made:
        outcome = await made.call("one__echo")
        assert outcome.kind is FailureKind.INTERNAL
        assert "Zero" not in outcome.message


async def test_nothing_is_acknowledged_that_could_not_be_recorded(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        made.journal.broken = True
        outcome = await made.call("one__echo")
        assert isinstance(outcome, Failed)
        assert "not recorded: disk full" in outcome.message


async def test_after_a_record_was_lost_nothing_is_sent_until_the_journal_can_be_written_again(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend) as made:
        made.journal.broken = True
        await made.call("one__echo")
        outcome = await made.call("one__echo")
        assert "nothing was sent" in outcome.message
        assert outcome.retryable
        assert len(backend.sessions[0].invocations) == 1
        made.journal.broken = False
        assert isinstance(await made.call("one__echo"), Completed)


async def test_progress_is_passed_on_only_to_those_who_want_it(tmp_path):
    async def step(_invocation, talk):
        talk.progress({"progress": 1})
        talk.notify("notifications/message", {"level": "info", "data": "x"})
        return Completed(b"{}", Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=step)) as made:
        for wants in (True, False):
            ear = Ear()
            asked = tool_call("one__echo")
            asked.wants_progress = wants
            await made.gateway.start(asked, ear).outcome()
            assert [method for method, _ in ear.heard] == ["notifications/progress"] * wants + ["notifications/message"]


async def test_a_client_is_let_go_of_when_the_backend_lets_go_of_us(tmp_path):
    async def work(_invocation, talk):
        talk.let_go(0.5)
        return Completed(b"{}", Era.MODERN)

    async with whole(tmp_path, FakeBackend("one", play=work)) as made:
        ear = Ear()
        await made.gateway.start(tool_call("one__echo"), ear).outcome()
        assert ear.heard == [("let go", 0.5)]


async def test_a_question_goes_to_the_client_of_the_run_and_is_declined_if_it_cannot_be_asked(tmp_path):
    async def ask(_invocation, talk):
        answer = await talk.ask(Question("elicitation/create", {"message": "?"}))
        return Completed(b'{"action":"%b"}' % answer.result["action"].encode(), Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=ask)) as made:
        ear = Ear(Answer({"action": "accept"}))
        assert b"accept" in (await made.call("one__echo", asking("a"), ear)).result
        assert ear.asked
        assert b"decline" in (await made.call("one__echo")).result
        assert made.journal.kinds().count("question.asked") == 2


async def test_a_timeout_before_anything_was_sent_says_so(tmp_path):
    backend = FakeBackend("one")
    async with whole(tmp_path, backend, specs=[spec("one", timeout=0.05)]) as made:
        backend.sessions[0].die()
        await anyio.wait_all_tasks_blocked()
        backend.gate = anyio.Event()
        outcome = await made.call("one__echo", MODERN)
        assert outcome.kind is FailureKind.TIMEOUT
        assert "nothing was sent" in outcome.message
        assert outcome.retryable
        backend.gate.set()


async def test_progress_begins_the_time_limit_anew_but_not_for_ever(tmp_path):
    steps = []

    async def slow(_invocation, talk):
        while True:
            await anyio.sleep(0.03)
            steps.append(1)
            talk.progress({"progress": len(steps)})

    async with whole(tmp_path, FakeBackend("one", play=slow), specs=[spec("one", timeout=0.1)]) as made:
        outcome = await made.call("one__echo")
        assert outcome.kind is FailureKind.TIMEOUT
        assert len(steps) > 6  # twice the limit and more, though the limit is a tenth of a second


async def test_the_clock_stands_still_while_a_person_is_asked(tmp_path):
    class Slow(Ear):
        async def ask(self, question):
            await anyio.sleep(0.3)
            return Answer({"action": "accept"})

    async def ask(_invocation, talk):
        await talk.ask(Question("elicitation/create", {"message": "?"}))
        return Completed(b"{}", Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=ask), specs=[spec("one", timeout=0.1)]) as made:
        assert isinstance(await made.call("one__echo", asking("a"), Slow()), Completed)


def lost(retryable=True):
    return Failed(FailureKind.UNAVAILABLE, -32000, "ended before the call was sent", retryable=retryable)


async def test_a_call_that_a_dead_session_never_took_goes_to_the_next_session_once(tmp_path):
    backend = FakeBackend("one")

    async def play(invocation, talk):
        if len(backend.sessions) == 1:
            backend.sessions[-1].die()
            return lost()
        return await echo(invocation, talk)

    backend.play = play
    async with whole(tmp_path, backend) as made:
        assert isinstance(await made.call("one__echo"), Completed)
        assert [len(session.invocations) for session in backend.sessions] == [1, 1]


@pytest.mark.parametrize("outcome", [lost(retryable=False), Failed(FailureKind.DIED, -32000, "gone")])
async def test_a_call_that_may_have_been_taken_is_never_sent_again(tmp_path, outcome):
    backend = FakeBackend("one")

    async def play(_invocation, _talk):
        backend.sessions[-1].die()
        return outcome

    backend.play = play
    async with whole(tmp_path, backend) as made:
        assert await made.call("one__echo") == outcome
        assert sum(len(session.invocations) for session in backend.sessions) == 1


async def test_a_call_that_a_living_session_refuses_is_not_sent_again(tmp_path):
    backend = FakeBackend("one")

    async def play(_invocation, _talk):
        return lost()

    backend.play = play
    async with whole(tmp_path, backend) as made:
        assert await made.call("one__echo") == lost()
        assert sum(len(session.invocations) for session in backend.sessions) == 1


async def test_an_unknown_method_that_names_a_tool_names_it_as_its_server_does(tmp_path):
    async with whole(tmp_path, FakeBackend("one"), FakeBackend("two")) as made:
        params = {"name": "one__echo", "ref": {"name": "one__echo"}}
        asked = Call(CallKind.EXTENSION, "who/knows", "", params, {}, MODERN, Principal("local:t"))
        outcome = await made.gateway.start(asked, Ear()).outcome()
        assert said(outcome)["params"] == {"name": "echo", "ref": {"name": "one__echo"}}


@pytest.mark.parametrize(("client", "heard"), [(MODERN, 0), (asking("s"), 1)], ids=["modern", "legacy"])
async def test_the_word_that_an_address_was_dealt_with_goes_to_legacy_clients_alone(tmp_path, client, heard):
    async def play(_invocation, talk):
        talk.notify("notifications/elicitation/complete", {"elicitationId": "e"})
        return Completed(b'{"content":[]}', Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=play)) as made:
        ear = Ear()
        await made.call("one__echo", client, ear)
        assert [method for method, _ in ear.heard] == ["notifications/elicitation/complete"] * heard
