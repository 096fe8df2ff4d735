"""Whole turns with fake A2A servers, over every binding and version that is spoken."""

import asyncio
import json
import ssl

import pytest
from a2a_fake import FakeA2a, agent, session
from tls_kit import certificate

from mcp_orchestrator.backends import http_pool
from mcp_orchestrator.backends.a2a import create
from mcp_orchestrator.backends.a2a_turn import Rhythm
from mcp_orchestrator.model.agent import (
    AgentMode,
    CostSource,
    EndStatus,
    Started,
    Text,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
    Used,
    Warned,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio

KINDS = [
    pytest.param({"binding": binding, "version": version, "streaming": streaming}, id=f"{binding}-{version}-{how}")
    for binding, version in (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"))
    for streaming, how in ((True, "streaming"), (False, "polled"))
]


async def hello(task):
    task.status("working", "thinking")
    task.artifact("a", "Hello ", append=False, last=False)
    task.artifact("a", "world", append=True)
    task.status("completed")


async def one_turn(server, tmp_path, talk=None, **settings):
    talk = talk or FakeAgentTalk()
    turn = settings.pop("turn", Turn("do it"))
    async with session(server.url, tmp_path, **settings) as made:
        return await made.turn(turn, talk), talk, made


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_tells_what_came_and_ends_with_the_artifact(kind, tmp_path):
    async with FakeA2a(hello, **kind).serving() as server:
        ended, talk, made = await one_turn(server, tmp_path)
    assert (ended.status, ended.text, ended.trouble) == (EndStatus.COMPLETED, "Hello world", None)
    assert "completed" in ended.evidence.lower()
    assert talk.of(Started) == [Started("context-1", version="7.1")]
    assert "".join(one.text for one in talk.of(Text) if not one.final) == "Hello world"
    assert [one.text for one in talk.of(Text) if one.final] == ["thinking"]
    assert talk.bindings[-1] == ("context-1", "task-1")
    assert made.native == "context-1"
    assert server.calls.count("SendMessage") + server.calls.count("SendStreamingMessage") == 1
    sent = server.tasks["task-1"].said[0]
    assert sent["parts"][0]["text"] == "do it"
    assert "taskId" not in sent
    assert "contextId" not in sent


@pytest.mark.parametrize("kind", KINDS)
async def test_requests_carry_the_version_and_the_configured_headers_and_no_redirect_is_followed(kind, tmp_path):
    async with FakeA2a(hello, **kind).serving() as server:
        await one_turn(server, tmp_path, headers=[("X-Key", "tell-nobody")])
        asked = [request for request in server.raw.requests if not request.target.endswith(".json")]
        assert asked
        assert {request.headers["a2a-version"] for request in asked} == {kind["version"]}
        assert {request.headers["x-key"] for request in server.raw.requests} == {"tell-nobody"}

        def away(request, method):
            request.reply(b"", status="307 Temporary Redirect", extra="location: http://127.0.0.1:9/elsewhere\r\n")
            return True

        server.intercept = away
        ended, _talk, _made = await one_turn(server, tmp_path, headers=[("X-Key", "tell-nobody")])
    assert ended.status is EndStatus.FAILED
    assert "redirects are not followed" in ended.message
    assert "tell-nobody" not in ended.message


@pytest.mark.parametrize("kind", KINDS)
async def test_a_question_in_words_is_answered_in_the_same_task(kind, tmp_path):
    async def script(task):
        task.status("input-required", "Which colour?")
        await task.until_said(2)
        task.status("working")
        task.artifact("a", f"It is {task.said[1]['parts'][0]['text']}")
        task.status("completed")

    talk = FakeAgentTalk(lambda question: Answer({"action": "accept", "content": {"answer": "red"}}))
    async with FakeA2a(script, **kind).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, talk)
        assert (ended.status, ended.text) == (EndStatus.COMPLETED, "It is red")
        answer = server.tasks["task-1"].said[1]
    assert (answer["taskId"], answer["contextId"]) == ("task-1", "context-1")
    assert len(talk.questions) == 1
    assert talk.questions[0].params["message"] == "Which colour?"
    assert list(talk.questions[0].params["requestedSchema"]["properties"]) == ["answer"]


OPTIONS = {
    "a2acode_permission": {
        "request_id": "r1",
        "tool": "bash",
        "input": {"command": "rm x"},
        "options": [{"id": "once", "name": "Allow once", "kind": "allow_once"}, {"id": "no", "name": "Reject"}],
    }
}


@pytest.mark.parametrize(("choice", "sent"), [("once", "option:once"), ("no", "option:no"), (None, "option:no")])
async def test_options_in_metadata_become_a_permission_and_the_chosen_one_is_sent_back(choice, sent, tmp_path):
    async def script(task):
        task.status("input-required", "Permission requested for bash", metadata=OPTIONS)
        await task.until_said(2)
        task.status("completed", "ok")

    talk = FakeAgentTalk(choosing(choice) if choice else None)
    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, talk)
        said = server.tasks["task-1"].said[1]
    assert said["parts"] == [{"text": sent}]
    assert said["metadata"] == {"a2acode_permission": {"request_id": "r1"}}
    assert ended.status is EndStatus.COMPLETED
    message = talk.questions[0].params["message"]
    assert "bash" in message
    assert "rm x" in message
    assert talk.questions[0].params["requestedSchema"]["properties"]["decision"]["enum"] == ["once", "no"]


async def test_an_agent_that_keeps_asking_what_nobody_answers_is_stopped(tmp_path):
    async def script(task):
        for count in range(2, 50):
            task.status("input-required", f"Really? {count}")
            await task.until_said(count)

    talk = FakeAgentTalk()
    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, talk)
    assert ended.status is EndStatus.CANCELLED
    assert len(talk.questions) == 3
    assert any("not answered" in one.text for one in talk.of(Warned))


@pytest.mark.parametrize("streaming", [True, False])
async def test_sign_in_is_an_address_to_visit_and_the_task_goes_on_by_itself(streaming, tmp_path):
    accepted = asyncio.Event()

    async def script(task):
        task.status("auth-required", "Sign in at https://login.example.com/device?code=1.")
        await accepted.wait()
        task.status("completed", "signed in")

    def answer(question):
        accepted.set()
        return Answer({"action": "accept"})

    talk = FakeAgentTalk(answer)
    async with FakeA2a(script, streaming=streaming).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, talk)
        assert len(server.tasks["task-1"].said) == 1
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "signed in")
    params = talk.questions[0].params
    assert (params["mode"], params["url"]) == ("url", "https://login.example.com/device?code=1")


async def test_a_task_that_goes_on_without_the_answer_withdraws_the_question(tmp_path):
    never = asyncio.Event()
    asked = asyncio.Event()

    async def script(task):
        task.status("auth-required", "Sign in at https://login.example.com/")
        await asked.wait()
        task.status("completed", "somebody did")

    async def answer(question):
        asked.set()
        await never.wait()

    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, FakeAgentTalk(answer))
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "somebody did")


async def test_a_declined_sign_in_cancels_the_task(tmp_path):
    async def script(task):
        task.status("auth-required", "Sign in at https://login.example.com/")

    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path)
        assert server.tasks["task-1"].state == "canceled"
    assert ended.status is EndStatus.CANCELLED


@pytest.mark.parametrize(
    ("state", "status"),
    [("failed", EndStatus.FAILED), ("rejected", EndStatus.REFUSED), ("canceled", EndStatus.CANCELLED)],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_each_end_of_a_task_is_an_end_of_its_own(kind, state, status, tmp_path):
    async def script(task):
        task.status(state, "because of HTTP 429")

    async with FakeA2a(script, **kind).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path)
    assert (ended.status, ended.message) == (status, "because of HTTP 429")
    assert ended.trouble is (TroubleKind.RATE if status is EndStatus.FAILED else None)


async def test_a_completed_task_with_nothing_in_it_is_not_taken_for_success(tmp_path):
    async def script(task):
        task.status("completed")

    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path)
    assert (ended.status, ended.trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_without_a_task_is_the_answer(kind, tmp_path):
    server = FakeA2a(hello, **kind)
    server.reply = {"messageId": "m", "role": "ROLE_AGENT", "contextId": "c9", "parts": [{"text": "at once"}]}
    server.reply |= {"kind": "message"} if kind["version"] == "0.3" else {}
    async with server.serving():
        ended, talk, made = await one_turn(server, tmp_path)
    assert (ended.status, ended.text, made.native) == (EndStatus.COMPLETED, "at once", "c9")
    assert [one.text for one in talk.of(Text)] == ["at once"]


async def test_data_files_and_tool_calls_are_told_and_data_is_the_structured_answer(tmp_path):
    async def script(task):
        call = {"data": {"id": "t1", "name": "add", "args": {"a": 1}}, "metadata": {"adk_type": "function_call"}}
        done = {
            "data": {"id": "t1", "name": "add", "response": {"r": 2}},
            "metadata": {"adk_type": "function_response"},
        }
        task.status("working", call)
        task.status("working", done)
        task.artifact("a", {"data": {"sum": 2}}, {"raw": "dGNr", "filename": "o.txt", "mediaType": "text/plain"})
        task.artifact("b", {"url": "https://example.com/o.png", "filename": "o.png"})
        task.status("completed")

    async with FakeA2a(script).serving() as server:
        ended, talk, _ = await one_turn(server, tmp_path)
    assert ended.structured == {"sum": 2}
    assert "[o.txt (text/plain,about 3 bytes)]" in ended.text
    assert "[o.png: https://example.com/o.png]" in ended.text
    tools = talk.of(ToolUse)
    assert [(one.id, one.status) for one in tools[:2]] == [("t1", ToolStatus.RUNNING), ("t1", ToolStatus.COMPLETED)]
    assert (tools[0].input, tools[1].output) == ({"a": 1}, {"r": 2})
    assert [one.title for one in tools[2:]] == ["o.txt", "o.png"]


async def test_usage_in_metadata_is_told_and_summed_over_the_events_of_adk(tmp_path):
    async def script(task):
        for number in (1, 2, 2):
            usage = {"promptTokenCount": "10", "candidatesTokenCount": 3}
            task.status("working", about={"adk_usage_metadata": usage, "adk_event_id": f"e{number}"})
        task.status("completed", "done")

    async with FakeA2a(script).serving() as server:
        ended, talk, _ = await one_turn(server, tmp_path)
    assert (ended.usage.input_tokens, ended.usage.output_tokens, ended.usage.cost) == (20, 6, None)
    assert ended.usage.cost_source is CostSource.UNMEASURED
    assert len(talk.of(Used)) == 2


async def test_money_in_metadata_is_reported_cost(tmp_path):
    async def script(task):
        task.status("completed", "done", metadata={"cost_usd": 0.0123, "usage": {"input_tokens": 5}})

    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path)
    assert (ended.usage.cost, ended.usage.cost_source, ended.usage.input_tokens) == (12300, CostSource.REPORTED, 5)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupt_cancels_the_task_and_the_turn_ends_as_cancelled(kind, tmp_path):
    async def script(task):
        task.status("working", "on it")

    talk = FakeAgentTalk()
    async with FakeA2a(script, **kind).serving() as server, session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: talk.of(Text))
        await made.interrupt()
        ended = await turn
    assert ended.status is EndStatus.CANCELLED
    assert server.calls.count("CancelTask") == 1


async def test_an_interrupt_with_an_open_question_sends_no_answer(tmp_path):
    async def script(task):
        task.status("input-required", "Which?")

    asked = asyncio.Event()
    given = asyncio.get_running_loop().create_future()

    async def answer(question):
        asked.set()
        return await given

    async with FakeA2a(script).serving() as server, session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), FakeAgentTalk(answer)))
        await asked.wait()
        given.set_result(Answer({"action": "cancel"}, by="gateway"))
        await made.interrupt()
        ended = await turn
        assert len(server.tasks["task-1"].said) == 1
    assert ended.status is EndStatus.CANCELLED


async def test_closing_ends_the_turn_as_unknown_and_leaves_the_task_to_be_rejoined(tmp_path):
    go = asyncio.Event()

    async def script(task):
        task.status("working", "on it")
        await go.wait()
        task.artifact("a", "late")
        task.status("completed")

    talk = FakeAgentTalk()
    async with FakeA2a(script).serving() as server:
        async with session(server.url, tmp_path) as made:
            turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
            await talk.until(lambda: talk.of(Text))
            await made.close()
            ended = await turn
        assert ended.status is EndStatus.UNKNOWN
        assert "CancelTask" not in server.calls
        context, task = talk.bindings[-1]
        go.set()
        again, _, _ = await one_turn(server, tmp_path, resume=context, turn=Turn("x", rejoin=task))
        assert (again.status, again.text) == (EndStatus.COMPLETED, "late")
        assert len(server.tasks) == 1
        assert len(server.tasks["task-1"].said) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_that_still_runs_is_rejoined_without_sending_anything(kind, tmp_path):
    go = asyncio.Event()

    async def script(task):
        task.status("working", "half")
        await go.wait()
        task.artifact("a", "whole")
        task.status("completed")

    server = FakeA2a(script, **kind)
    async with server.serving():
        server.begin({"message": {"parts": [{"text": "before"}], "contextId": "c1"}})
        talk = FakeAgentTalk()
        async with session(server.url, tmp_path, resume="c1") as made:
            turn = asyncio.ensure_future(made.turn(Turn("before", rejoin="task-1"), talk))
            await talk.until(lambda: talk.of(Text))
            go.set()
            ended = await turn
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "whole")
    assert not {"SendMessage", "SendStreamingMessage"} & set(server.calls)


async def test_a_question_that_was_open_is_asked_again_after_a_rejoin(tmp_path):
    async def script(task):
        task.status("input-required", "Which?")
        await task.until_said(2)
        task.status("completed", "so be it")

    server = FakeA2a(script)
    talk = FakeAgentTalk(lambda question: Answer({"action": "accept", "content": {"answer": "that"}}))
    async with server.serving():
        server.begin({"message": {"parts": [{"text": "before"}], "contextId": "c1"}})
        ended, _, _ = await one_turn(server, tmp_path, talk, resume="c1", turn=Turn("before", rejoin="task-1"))
        assert server.tasks["task-1"].said[1]["parts"] == [{"text": "that"}]
    assert ended.text == "so be it"


async def test_a_task_that_the_server_has_forgotten_is_unknown(tmp_path):
    async with FakeA2a(hello).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, resume="c1", turn=Turn("x", rejoin="gone"))
    assert ended.status is EndStatus.UNKNOWN
    assert "does not know task gone" in ended.message
    assert server.calls == ["GetTask"]


async def test_the_next_turn_goes_on_in_the_same_context_with_a_new_task(tmp_path):
    async with FakeA2a(hello).serving() as server:
        async with session(server.url, tmp_path) as made:
            await made.turn(Turn("one"), FakeAgentTalk())
            await made.turn(Turn("two"), FakeAgentTalk())
        second = server.tasks["task-2"].said[0]
    assert second["contextId"] == "context-1"
    assert "taskId" not in second


@pytest.mark.parametrize("subscribes", [True, False])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_stream_that_breaks_off_is_taken_up_again_and_nothing_is_told_twice(subscribes, whole, tmp_path):
    go = asyncio.Event()

    async def script(task):
        task.status("working", "first")
        task.artifact("a", "one ", last=False)
        await go.wait()
        task.artifact("a", "two", append=True)
        task.status("completed")

    talk = FakeAgentTalk()
    async with FakeA2a(script, subscribes=subscribes).serving() as server, session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: any(one.text == "one " for one in talk.of(Text)))
        if whole:
            server.raw.drop()
        go.set()
        ended = await turn
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "one two")
    assert [one.text for one in talk.of(Text)] == ["first", "one ", "two"]
    assert server.calls.count("SendStreamingMessage") == 1


async def test_a_server_that_dies_before_it_names_a_task_leaves_the_turn_unknown_and_unrepeated(tmp_path):
    server = FakeA2a(hello)

    def die(request, method):
        request.close()
        return True

    server.intercept = die
    async with server.serving():
        ended, _, _ = await one_turn(server, tmp_path)
    assert (ended.status, ended.trouble, ended.retryable) == (EndStatus.UNKNOWN, TroubleKind.CRASH, False)
    assert server.calls == ["SendStreamingMessage"]


async def test_a_server_that_stays_away_is_given_up_after_a_while(tmp_path):
    async def script(task):
        task.status("working", "first")

    talk = FakeAgentTalk()
    server = FakeA2a(script)
    async with server.serving(), session(server.url, tmp_path) as made:
        turn = asyncio.ensure_future(made.turn(Turn("x"), talk))
        await talk.until(lambda: talk.of(Text))

        def die(request, method):
            request.close()
            return True

        server.intercept = die
        server.raw.drop()
        ended = await turn
    assert ended.status is EndStatus.UNKNOWN
    assert "could not be reached" in ended.message


async def test_a_stream_that_falls_silent_is_doubted_and_the_task_looked_at(tmp_path):
    async def script(task):
        task.status("working", "first")
        task.ears.clear()
        task.artifact("a", "missed")
        task.status("completed")

    async with FakeA2a(script).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, rhythm=Rhythm(0.01, 0.05, 0.1, 1.0))
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "missed")


@pytest.mark.parametrize(
    ("status", "trouble", "kind"),
    [
        ("401 Unauthorized", TroubleKind.AUTH, EndStatus.FAILED),
        ("403 Forbidden", TroubleKind.AUTH, EndStatus.FAILED),
        ("429 Too Many Requests", TroubleKind.RATE, EndStatus.FAILED),
        ("500 Internal Server Error", TroubleKind.CRASH, EndStatus.FAILED),
    ],
)
async def test_statuses_of_http_are_troubles_in_words(status, trouble, kind, tmp_path):
    server = FakeA2a(hello)
    server.card_extra = {"securitySchemes": {"key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}}}}

    def refuse(request, method):
        request.reply(b"no", status=status, kind="text/plain")
        return True

    server.intercept = refuse
    async with server.serving():
        ended, _, _ = await one_turn(server, tmp_path)
    assert (ended.status, ended.trouble) == (kind, trouble)
    assert ended.message.startswith("agent far")
    assert ("apiKey header X-Key" in ended.message) is (trouble is TroubleKind.AUTH)


async def test_an_error_of_the_protocol_names_what_was_refused(tmp_path):
    server = FakeA2a(hello)

    def refuse(request, method):
        server.refuse(request, -32005, "CONTENT_TYPE_NOT_SUPPORTED", "no text here: tell-nobody")
        return True

    server.intercept = refuse
    async with server.serving():
        ended, _, _ = await one_turn(server, tmp_path, headers=[("X-Key", "tell-nobody")])
    assert (ended.status, ended.retryable) == (EndStatus.FAILED, False)
    assert "no text here: <secret> (-32005)" in ended.message


async def test_frames_that_mean_nothing_are_passed_over_with_a_warning(tmp_path):
    server = FakeA2a(hello)

    def odd(request, method):
        request.start_events()
        request.event("not json")
        request.event({"jsonrpc": "2.0", "id": 1, "result": {"strange": True}})
        answer = {"id": 5, "contextId": "c", "status": {"state": "TASK_STATE_PONDERING"}, "artifacts": None}
        request.event({"jsonrpc": "2.0", "id": 1, "result": {"task": answer}})
        end = {"taskId": 5, "status": {"state": "completed", "message": {"parts": [{"text": "fine"}, 7, {"x": 1}]}}}
        request.event({"jsonrpc": "2.0", "id": 1, "result": {"statusUpdate": end}})
        request.end_events()
        return True

    server.intercept = odd
    async with server.serving():
        ended, talk, _ = await one_turn(server, tmp_path)
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "fine")
    assert len(talk.of(Warned)) == 2
    assert talk.bindings[0] == ("c", "5")


async def test_an_answer_that_is_too_large_ends_the_turn(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.backends.a2a_calls.MOST_BYTES", 1000)

    async def script(task):
        task.artifact("a", "x" * 5000)
        task.status("completed")

    async with FakeA2a(script, streaming=False).serving() as server:
        ended, _, _ = await one_turn(server, tmp_path, rhythm=Rhythm(0.01, 0.02, 1.0, 0.2))
    assert ended.status is EndStatus.UNKNOWN
    assert "1000 bytes" in ended.message


async def test_a_write_to_a_far_agent_is_warned_of(tmp_path):
    async with FakeA2a(hello).serving() as server:
        _, talk, _ = await one_turn(server, tmp_path, mode=AgentMode.WRITE)
    assert "no workspace" in talk.of(Warned)[0].text


async def test_a_fork_is_refused_in_words(tmp_path):
    async with FakeA2a(hello).serving() as server:
        with pytest.raises(BackendError, match="branch off"):
            async with session(server.url, tmp_path, resume="c", fork=True):
                pass


@pytest.mark.parametrize("below", ["", "/", "/rpc", "/.well-known/agent-card.json"])
async def test_the_url_may_be_the_base_the_interface_or_the_card(below, tmp_path):
    async with FakeA2a(hello).serving() as server, session(server.url + below, tmp_path) as made:
        ended = await made.turn(Turn("x"), FakeAgentTalk())
    assert ended.text == "Hello world"


async def test_a_card_never_moves_us_to_another_host(tmp_path):
    server = FakeA2a(hello)
    server.card_extra = {
        "supportedInterfaces": [{"url": "http://169.254.1.1/x", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    }
    async with server.serving():
        with pytest.raises(BackendError, match="leads to another address"):
            async with session(server.url, tmp_path):
                pass


async def test_without_a_card_the_configuration_may_say_what_stands_there(tmp_path):
    server = FakeA2a(hello)
    server.card_paths = []
    async with server.serving():
        with pytest.raises(BackendError, match=r"no agent card.*gateway.yaml:3.*a2a.binding"):
            async with session(server.url, tmp_path):
                pass
        settings = {"binding": "jsonrpc", "version": "1.0"}
        async with session(server.url + "/rpc", tmp_path, settings=settings) as made:
            ended = await made.turn(Turn("x"), FakeAgentTalk())
    assert ended.text == "Hello world"


async def test_an_agent_that_is_not_there_is_told_in_words(free_port, tmp_path):
    with pytest.raises(BackendError, match="connection refused") as caught:
        async with session(f"http://127.0.0.1:{free_port}", tmp_path):
            pass
    assert caught.value.kind is FailureKind.UNAVAILABLE


async def test_a_look_at_an_agent_tells_what_its_card_says(free_port):
    async with FakeA2a(hello).serving() as server:
        seen = agent(server.url)
        facts = await seen.probe()
        await seen.aclose()
    assert (facts.found, facts.version, facts.can["streaming"]) == (True, "7.1", True)
    assert "A2A 1.0 over JSONRPC" in facts.notes
    gone = agent(f"http://127.0.0.1:{free_port}")
    assert not (await gone.probe()).found
    await gone.aclose()


async def test_a_look_tells_that_sign_in_is_missing():
    def refuse(request):
        request.reply(b"", status="401 Unauthorized", extra='www-authenticate: Bearer realm="far"\r\n')

    from http_raw import raw_server  # noqa: PLC0415

    async with raw_server(refuse) as server:
        seen = agent(server.url)
        facts = await seen.probe()
        await seen.aclose()
    assert (facts.found, facts.signed_in) == (True, False)
    assert "headers" in facts.notes[0]


async def test_a_server_with_tls_is_spoken_to_and_an_unknown_certificate_refused(tmp_path, monkeypatch):
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = FakeA2a(hello)
    async with server.serving(tls=context):
        url = server.url.replace("http://", "https://")
        interface = {"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        server.card_extra = {"supportedInterfaces": [interface]}
        with pytest.raises(BackendError, match="certificate"):
            async with session(url, tmp_path):
                pass
        trusting = ssl.create_default_context(cafile=cert)
        monkeypatch.setattr(http_pool.ssl, "create_default_context", lambda: trusting)
        async with session(url, tmp_path) as made:
            ended = await made.turn(Turn("x"), FakeAgentTalk())
    assert ended.text == "Hello world"


async def test_the_raw_frame_is_kept_beside_what_it_told(tmp_path):
    async with FakeA2a(hello).serving() as server:
        _, talk, _ = await one_turn(server, tmp_path)
    frames = [json.loads(raw) for event, raw in zip(talk.events, talk.raws, strict=True) if isinstance(event, Text)]
    assert frames[0]["result"]["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "thinking"


def test_the_kind_is_made_of_its_specification():
    made = create(agent("http://127.0.0.1:1").spec, None)
    assert made.spec.name == "far"
