"""One JSON-RPC conversation: order, attribution, cancelling, and everything a server should not send."""

import asyncio
import json

import anyio
import pytest
from stdio_kit import RecordingTalk

from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.backends.mcp_link import Duplex
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import CONNECTION_CLOSED, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import ListChanged, LogLine, Notice, ResourceUpdated

pytestmark = pytest.mark.anyio


class Wire:
    """A Duplex with what it sent, heard and found strange."""

    def __init__(self, **settings):
        self.sent, self.events, self.stray = [], [], []
        self.duplex = Duplex(
            "files",
            lambda data, ident: self.sent.append((json.loads(data), ident)),
            hear=self.events.append,
            stray=self.stray.append,
            **settings,
        )
        self.tasks = []

    async def call(self, method="tools/call", talk=None, **settings):
        """Start a request; returns its task once it is on the wire."""
        task = asyncio.ensure_future(self.duplex.request(method, {"name": "x"}, talk=talk, **settings))
        before = len(self.sent)
        while len(self.sent) == before and not task.done():
            await anyio.lowlevel.checkpoint()
        return task

    def feed(self, **message):
        self.duplex.feed(json.dumps({"jsonrpc": "2.0", **message}).encode())

    @property
    def last(self):
        return self.sent[-1][0]


@pytest.fixture
async def wire():
    return Wire()


async def settle():
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def test_answers_find_their_requests_in_any_order(wire):
    first, second = await wire.call(), await wire.call("ping")
    assert [message["id"] for message, _ in wire.sent] == [1, 2]
    assert [ident for _, ident in wire.sent] == [1, 2]
    wire.feed(id=2, result={"second": None})
    wire.feed(id=1, result={"first": 1})
    assert (await first, await second) == (b'{"first": 1}', b'{"second": null}')
    assert wire.duplex.in_flight == 0


@pytest.mark.parametrize("key", [1, "1", 1.0])
async def test_an_id_may_come_back_as_text_or_number(wire, key):
    task = await wire.call()
    wire.feed(id=key, result={})
    assert await task == b"{}"


@pytest.mark.parametrize("key", [7, "x", "1 ", None, 1.5, "9" * 30])
async def test_unknown_ids_are_ignored_in_silence(wire, key):
    task = await wire.call()
    wire.feed(id=key, result={"wrong": True})
    wire.feed(id=1, result={})
    wire.feed(id=1, result={"doubled": True})
    assert await task == b"{}"
    assert wire.stray == []


async def test_meta_is_put_on_and_left_out_when_empty(wire):
    await wire.call(meta={"a": 1})
    await wire.call(meta={})
    await wire.call(meta={"a": 1}, wants_progress=True)
    await wire.call(wants_progress=True)
    params = [message["params"] for message, _ in wire.sent]
    assert [p.get("_meta") for p in params] == [{"a": 1}, None, {"a": 1, "progressToken": 3}, {"progressToken": 4}]


async def test_an_error_is_passed_on_untouched(wire):
    task = await wire.call()
    wire.feed(id=1, error={"code": -32042, "message": "go there", "data": {"url": None}})
    with pytest.raises(RpcError) as caught:
        await task
    failed = caught.value.as_failed()
    assert (failed.kind, failed.code, failed.message) == (FailureKind.BACKEND_ERROR, -32042, "go there")
    assert (failed.data, failed.retryable) == ({"url": None}, False)


async def test_a_null_error_beside_a_result_is_no_error(wire):
    task = await wire.call()
    wire.feed(id=1, result={"ok": True}, error=None)
    assert await task == b'{"ok": true}'


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":[1]}',
        b'{"jsonrpc":"2.0","id":1,"result":"text"}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}',
        b'{"result":{"a":NaN},"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
async def test_an_answer_that_breaks_the_protocol_fails_its_own_call(wire, line):
    task, other = await wire.call(), await wire.call()
    wire.duplex.feed(line)
    with anyio.fail_after(2), pytest.raises(BackendError) as caught:
        await task
    assert (caught.value.kind, caught.value.sent) == (FailureKind.BAD_ANSWER, True)
    assert not other.done()


async def test_progress_reaches_its_call_in_wire_order_before_the_result(wire):
    talks = RecordingTalk(), RecordingTalk()
    tasks = [await wire.call(talk=talk, wants_progress=True) for talk in talks]
    for step in range(200):
        wire.feed(method="notifications/progress", params={"progressToken": 1 + step % 2, "progress": step})
    wire.feed(id=1, result={})
    wire.feed(method="notifications/progress", params={"progressToken": 1, "progress": 999})
    assert [params["progress"] for _, params in talks[0].said] == list(range(0, 200, 2))
    assert talks[1].said[0] == ("progress", {"progress": 1})
    await tasks[0]


@pytest.mark.parametrize("token", [None, "other", 99, True, {}])
async def test_progress_for_an_unknown_token_is_dropped(wire, token):
    talk = RecordingTalk()
    await wire.call(talk=talk)
    wire.feed(method="notifications/progress", params={"progressToken": token, "progress": 1})
    assert talk.said == []


async def test_a_log_message_belongs_to_the_only_call_in_flight(wire):
    talk = RecordingTalk()
    await wire.call(talk=talk)
    await wire.call("tools/list")
    wire.feed(method="notifications/message", params={"level": "info", "data": 1})
    assert talk.said == [("notifications/message", {"level": "info", "data": 1})]


async def test_a_log_message_that_could_be_anybodys_is_nobodys(wire):
    talks = RecordingTalk(), RecordingTalk()
    for talk in talks:
        await wire.call(talk=talk)
    wire.feed(method="notifications/message", params={"level": "info", "data": 1})
    wire.feed(method="notifications/vendor/other", params={"a": 1})
    assert [talk.said for talk in talks] == [[], []]
    assert wire.events == [LogLine({"level": "info", "data": 1}), Notice("notifications/vendor/other", {"a": 1})]


async def test_what_comes_while_no_call_is_in_flight_is_for_everybody(wire):
    await wire.call("tools/list")
    wire.feed(method="notifications/message", params={"data": 1})
    wire.feed(method="notifications/vendor/other", params={"a": 1})
    assert wire.events == [
        LogLine({"data": 1}, common=True),
        Notice("notifications/vendor/other", {"a": 1}, common=True),
    ]


async def test_what_comes_late_on_the_stream_of_a_call_is_not_for_everybody(wire):
    message = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}}
    wire.duplex.feed(json.dumps(message).encode(), 7)
    assert wire.events == [LogLine({"data": 1})]


async def test_only_calls_that_asked_for_logs_can_have_caused_them(wire):
    quiet, loud = RecordingTalk(), RecordingTalk()
    await wire.call(talk=quiet, logs=False)
    await wire.call(talk=loud, logs=True)
    wire.feed(method="notifications/message", params={"data": 1})
    assert (quiet.said, len(loud.said)) == ([], 1)


async def test_a_subscription_id_tells_the_call(wire):
    talks = RecordingTalk(), RecordingTalk()
    for talk in talks:
        await wire.call(talk=talk)
    params = {"_meta": {"io.modelcontextprotocol/subscriptionId": 2}}
    wire.feed(method="notifications/subscriptions/acknowledged", params=params)
    assert [len(talk.said) for talk in talks] == [0, 1]


async def test_changes_are_events(wire):
    wire.feed(method="notifications/tools/list_changed")
    wire.feed(method="notifications/resources/list_changed", params={})
    wire.feed(method="notifications/prompts/list_changed")
    wire.feed(method="notifications/resources/updated", params={"uri": "a:b"})
    assert wire.events == [
        ListChanged(OfferKind.TOOL),
        ListChanged(OfferKind.RESOURCE),
        ListChanged(OfferKind.PROMPT),
        ResourceUpdated({"uri": "a:b"}),
    ]


async def test_cancelling_tells_the_server_and_forgets_the_call(wire):
    task = await wire.call()
    task.cancel("the client left")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.last == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 1, "reason": "the client left"},
    }
    wire.feed(id=1, result={"late": True})
    assert (wire.duplex.in_flight, wire.stray) == (0, [])


async def test_initialize_is_never_cancelled_on_the_wire(wire):
    task = await wire.call("initialize")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(wire.sent) == 1


async def test_nothing_is_cancelled_when_the_answer_came_first(wire, caplog):
    task, failing = await wire.call(), await wire.call()
    wire.feed(id=1, result={})
    wire.feed(id=2, error={"code": 1, "message": "no"})
    task.cancel()
    failing.cancel()
    await asyncio.gather(task, failing, return_exceptions=True)
    assert len(wire.sent) == 2
    assert caplog.record_tuples == []


async def test_a_ping_is_answered_and_an_unknown_request_refused(wire):
    wire.feed(id="p", method="ping")
    wire.feed(id=5, method="server/wants", params={})
    assert wire.sent[0][0] == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert (wire.last["id"], wire.last["error"]["code"]) == (5, -32601)


async def test_a_question_goes_to_the_one_call_in_flight_and_its_answer_back(wire):
    talk = RecordingTalk(Answer(result={"action": "accept", "content": {"a": None}}))
    await wire.call(talk=talk)
    await wire.call("tools/list")
    wire.feed(id="q", method="elicitation/create", params={"message": "Name?", "x-unknown": 1})
    await settle()
    assert talk.questions == [Question("elicitation/create", {"message": "Name?", "x-unknown": 1})]
    assert wire.last == {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept", "content": {"a": None}}}


async def test_an_error_answer_is_passed_back_as_an_error(wire):
    await wire.call(talk=RecordingTalk(Answer(code=-1, message="User rejected")))
    wire.feed(id=9, method="sampling/createMessage", params={})
    await settle()
    assert wire.last["error"] == {"code": -1, "message": "User rejected"}


DECLINES = [
    ("elicitation/create", "result", {"action": "decline"}),
    ("sampling/createMessage", "error", {"code": -1, "message": "declined"}),
    ("roots/list", "result", {"roots": []}),
]


@pytest.mark.parametrize(("method", "member", "value"), DECLINES)
@pytest.mark.parametrize("calls", [0, 2])
async def test_a_question_that_cannot_be_attributed_is_declined_never_guessed(wire, method, member, value, calls):
    talks = [RecordingTalk() for _ in range(calls)]
    for talk in talks:
        await wire.call(talk=talk)
    wire.feed(id=9, method=method, params={})
    await settle()
    assert wire.last == {"jsonrpc": "2.0", "id": 9, member: value}
    assert [talk.questions for talk in talks] == [[] for _ in talks]


async def test_on_an_exclusive_session_any_call_carries_the_question():
    wire = Wire(exclusive=True)
    talks = [RecordingTalk(), RecordingTalk()]
    for talk in talks:
        await wire.call(talk=talk)
    wire.feed(id=9, method="roots/list")
    await settle()
    assert [len(talk.questions) for talk in talks] == [1, 0]


@pytest.mark.parametrize("exclusive", [True, False])
async def test_the_word_that_an_address_was_dealt_with_is_for_the_client_that_was_asked(exclusive):
    wire, talk = Wire(exclusive=exclusive), RecordingTalk()
    await wire.call(talk=talk)
    wire.feed(method="notifications/elicitation/complete", params={"elicitationId": "e"})
    assert len(talk.said) == int(exclusive), "on a stream of many it could be anybody's"
    heard = Notice("notifications/elicitation/complete", {"elicitationId": "e"})
    assert wire.events == ([] if exclusive else [heard])


async def test_a_question_on_an_exclusive_session_outlives_the_call_that_carried_it_while_others_may_have_asked_it():
    wire, given = Wire(exclusive=True), asyncio.Event()

    class Slow(RecordingTalk):
        async def ask(self, question):
            self.questions.append(question)
            await given.wait()
            return self.answer

    first, second = Slow(), Slow()
    calls = [await wire.call(talk=first), await wire.call(talk=second)]
    for key in (8, 9):
        wire.feed(id=key, method="elicitation/create", params={"message": str(key)})
    await settle()
    assert len(first.questions) == 2
    wire.feed(id=1, result={})
    await calls[0]
    await settle()
    assert len(wire.sent) == 2, "the second call may be the one that asks"
    given.set()
    await settle()
    assert [message["id"] for message, _ in wire.sent[2:]] == [8, 9]
    assert wire.last["result"] == first.answer.result
    wire.feed(id=2, result={})
    await calls[1]


async def test_when_no_call_is_left_nobody_is_asked_any_more():
    wire = Wire(exclusive=True)

    class Endless(RecordingTalk):
        async def ask(self, question):
            await asyncio.Event().wait()

    calls = [await wire.call(talk=Endless()), await wire.call(talk=Endless())]
    wire.feed(id=9, method="elicitation/create")
    await settle()
    for key, call in enumerate(calls, 1):
        wire.feed(id=key, result={})
        await call
    await settle()
    assert wire.last == {"jsonrpc": "2.0", "id": 9, "result": {"action": "decline"}}


async def test_a_question_outside_of_calls_goes_where_the_session_says():
    talk = RecordingTalk(Answer(result={"roots": [{"uri": "file:///a"}]}))
    wire = Wire(ask_outside=talk.ask)
    wire.feed(id=9, method="roots/list")
    await settle()
    assert wire.last["result"] == {"roots": [{"uri": "file:///a"}]}
    for _ in range(2):
        await wire.call(talk=RecordingTalk())
    wire.feed(id=10, method="roots/list")
    await settle()
    assert wire.last["result"] == {"roots": []}, "with two calls in flight it may be either's"


async def test_the_stream_of_a_request_settles_whose_question_it_is(wire):
    talks = [RecordingTalk(), RecordingTalk()]
    for talk in talks:
        await wire.call(talk=talk)
    wire.duplex.feed(b'{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}', 2)
    wire.duplex.feed(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}', 2)
    await settle()
    assert [len(talk.questions) for talk in talks] == [0, 1]
    assert [len(talk.said) for talk in talks] == [0, 1]


class NeverAnswers(RecordingTalk):
    def __init__(self):
        super().__init__()
        self.asked, self.withdrawn = anyio.Event(), False

    async def ask(self, question):
        self.asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.withdrawn = True


async def test_a_question_ends_with_its_call_and_is_declined_then(wire):
    talk = NeverAnswers()
    task = await wire.call(talk=talk)
    wire.feed(id="q", method="elicitation/create", params={})
    await talk.asked.wait()
    wire.feed(id=1, result={})
    assert await task == b"{}"
    await settle()
    assert talk.withdrawn
    assert wire.last == {"jsonrpc": "2.0", "id": "q", "result": {"action": "decline"}}


async def test_a_question_that_the_server_withdraws_gets_no_reply(wire):
    talk = NeverAnswers()
    await wire.call(talk=talk)
    wire.feed(id="q", method="elicitation/create", params={})
    await talk.asked.wait()
    wire.feed(method="notifications/cancelled", params={"requestId": "q"})
    await settle()
    assert talk.withdrawn
    assert len(wire.sent) == 1


async def test_a_question_that_ends_before_it_was_put_is_declined_too(wire):
    task = await wire.call(talk=NeverAnswers())
    wire.feed(id="q", method="elicitation/create", params={})
    wire.feed(id=1, result={})
    await task
    await settle()
    assert wire.last["result"] == {"action": "decline"}


async def test_a_talk_that_breaks_is_told_and_does_not_leave_the_server_hanging(wire):
    class Broken(RecordingTalk):
        async def ask(self, question):
            raise ZeroDivisionError

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    await wire.call(talk=Broken())
    wire.feed(id="q", method="roots/list", params={})
    await settle()
    assert wire.last["result"] == {"roots": []}
    assert [type(fault) for fault in told] == [ZeroDivisionError]


async def test_what_is_in_flight_when_the_pipe_ends_may_have_had_effects_and_is_not_repeated(wire):
    talk = NeverAnswers()
    task = await wire.call(talk=talk)
    wire.feed(id="q", method="roots/list", params={})
    await talk.asked.wait()
    wire.duplex.end("ended (exit code 1)")
    wire.duplex.end("again")
    with pytest.raises(BackendError) as caught:
        await task
    failed = caught.value.as_failed()
    assert (failed.kind, failed.code, failed.retryable) == (FailureKind.DIED, CONNECTION_CLOSED, False)
    assert failed.message.startswith(
        "backend files ended (exit code 1) while the call was running; it may have had effects and was not repeated"
    )
    assert talk.withdrawn


async def test_what_comes_after_the_end_was_never_sent(wire):
    wire.duplex.end("ended (exit code 1)")
    with pytest.raises(BackendError) as caught:
        await wire.duplex.request("tools/call", {})
    assert (caught.value.kind, caught.value.as_failed().retryable) == (FailureKind.UNAVAILABLE, True)
    wire.duplex.notify("notifications/roots/list_changed", {})
    assert wire.sent == []


async def test_a_pipe_that_is_full_fails_the_call_before_it_is_sent():
    def full(_data, _ident):
        raise BackendError(FailureKind.OVERLOADED, "full")

    duplex = Duplex("files", full)
    with pytest.raises(BackendError, match="full"):
        await duplex.request("tools/call", {})
    duplex.notify("notifications/x", {})
    duplex.feed(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert duplex.in_flight == 0


async def test_params_that_are_no_json_are_refused_before_they_are_sent(wire):
    with pytest.raises(BackendError) as caught:
        await wire.duplex.request("tools/call", {"a": object()})
    assert (caught.value.kind, wire.sent) == (FailureKind.INVALID, [])


async def test_batches_are_taken_apart(wire):
    first, second = await wire.call(), await wire.call()
    wire.duplex.feed(b' [{"jsonrpc":"2.0","id":1,"result":{}},[1],7,{"jsonrpc":"2.0","id":2,"result":{"b":1}}]')
    assert (await first, await second) == (b"{}", b'{"b":1}')


@pytest.mark.parametrize("line", [b"Listening on stdio", b"{not json", b"[]", b"[1", b"\xff\xfe", b'"text"', b"{" * 9])
async def test_lines_that_are_no_messages_are_shown_and_harm_nobody(wire, line):
    task = await wire.call()
    wire.duplex.feed(line)
    assert wire.stray == ["stdout: " + line.decode("utf-8", "replace")]
    assert not task.done()


async def test_a_flood_of_such_lines_is_counted_and_no_longer_shown(wire):
    for _ in range(5000):
        wire.duplex.feed(b"log " + b"x" * 1000)
    assert wire.duplex.stray_lines == 5000
    assert len(wire.stray) == 1001
    assert max(map(len, wire.stray)) < 500


async def test_a_malformed_notification_is_noted(wire):
    wire.feed(method="notifications/progress", params=[1])
    assert wire.stray == ["stdout: malformed notification notifications/progress"]


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (b'{"jsonrpc":"2.0","id":2,"result":{"te', b""),
        (b'{ "id" : "2" , "result":{"te', b""),
        (b'{"result":{"te', b'xt"},"jsonrpc":"2.0","id":2}'),
        (b'{"result":{"te', b'xt"},"id":2,"jsonrpc":"2.0"}\r'),
    ],
)
async def test_an_answer_that_is_too_long_fails_the_call_it_belongs_to(wire, head, tail):
    first, second = await wire.call(), await wire.call()
    assert wire.duplex.overlong(head, tail, 1000)
    with pytest.raises(BackendError, match="longer than 1000 bytes") as caught:
        await second
    assert caught.value.kind is FailureKind.BAD_ANSWER
    assert not first.done()


async def test_a_line_that_is_too_long_and_tells_no_id_is_not_guessed_at(wire):
    task = await wire.call()
    assert not wire.duplex.overlong(b'{"result":{"id":1,', b"", 1000)
    assert not wire.duplex.overlong(b'{"result":{"id":1,', b'"a":{"id":1}}}', 1000)
    assert not task.done()


@pytest.mark.parametrize(
    "head", [b"log log log", b'{"jsonrpc":"2.0","method":"notifications/x"', b'{"method":"a","id":1,']
)
async def test_a_giant_line_that_answers_nothing_is_only_noted(wire, head):
    task = await wire.call()
    assert wire.duplex.overlong(head, b"", 1000)
    assert wire.stray == ["stdout: a line of more than 1000 bytes was thrown away"]
    assert not task.done()


async def test_one_request_can_be_failed_from_outside(wire):
    task = await wire.call()
    assert wire.duplex.fail(1, BackendError(FailureKind.TIMEOUT, "too slow"))
    assert not wire.duplex.fail(1, BackendError(FailureKind.TIMEOUT, "too slow"))
    with pytest.raises(BackendError, match="too slow"):
        await task
