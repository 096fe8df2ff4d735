"""A call of a logical tool is made once, and a second time only where that cannot double an effect."""

import anyio
import pytest
from engines import MODERN, QUIET, Ear, FakeBackend, Whole, spec, tool_call, whole
from task_backends import ABLE, OLD, PLAIN, Client, TaskBackend

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, ToolRefusal
from mcp_orchestrator.model.routing import (
    ArgumentSource,
    LogicalTool,
    Override,
    Provider,
    ResultShape,
    Standing,
    Strategy,
)
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
BOTH = (Provider("one.find"), Provider("two.find"))


def logical(*providers, **changes):
    made = LogicalTool("search", "Searches.", QUERY, providers or BOTH, **changes)
    return {"tools": {"search": made}}


def backend(name, play=None, tool_name="find", **schema):
    made = FakeBackend(name) if play is None else FakeBackend(name, play=play)
    made.tools = [tool(tool_name, **(schema or {"query": {"type": "string"}}))]
    return made


def says(text, **fields):
    async def play(_invocation, _talk):
        return Completed(encode({"content": [{"type": "text", "text": text}], **fields}), Era.LEGACY)

    return play


def fails(kind, *, retryable=False):
    async def play(_invocation, _talk):
        return Failed(kind, -32000, "it went away", retryable=retryable)

    return play


def text_of(outcome):
    assert isinstance(outcome, Completed), outcome
    return decode(outcome.result)["content"][0]["text"]


def tries(made):
    return [event.data for event in made.journal.events if event.kind is EventKind.RUN_TRIED]


def calls_of(made, name):
    return sum(len(session.invocations) for session in made.backends[name].sessions)


async def test_the_first_provider_takes_the_call_under_its_own_name(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two"), **logical()) as made:
        told = decode(text_of(await made.call("search", query="a")).encode())
        assert told["params"] == {"name": "find", "arguments": {"query": "a"}}
        assert [entry["provider"] for entry in tries(made)] == ["one.find"]


async def test_a_logical_tool_is_listed_as_one_of_ours(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two"), **logical()) as made:
        listed = decode(await made.gateway.listing(View(Era.MODERN), OfferKind.TOOL, None))["tools"]
        assert [entry["name"] for entry in listed] == ["search", "one__find", "two__find"]
        assert listed[0] == {"name": "search", "description": "Searches.", "inputSchema": QUERY}


async def test_what_was_never_sent_goes_to_the_next_provider(tmp_path):
    async with whole(tmp_path, backend("one"), backend("two", says("two")), **logical()) as made:
        made.backends["one"].refuse = BackendError(FailureKind.UNAVAILABLE, "no such program")
        for session in made.backends["one"].sessions:
            session.die()
        await anyio.wait_all_tasks_blocked()
        assert text_of(await made.call("search", query="a")) == "two"
        assert [(one["provider"], one["sent"], one["status"]) for one in tries(made)] == [
            ("one.find", False, "failed"),
            ("two.find", True, "completed"),
        ]


@pytest.mark.parametrize("kind", [FailureKind.DIED, FailureKind.BAD_ANSWER, FailureKind.BACKEND_ERROR])
async def test_what_was_sent_is_not_repeated_and_the_caller_learns_what_is_known(tmp_path, kind):
    async with whole(tmp_path, backend("one", fails(kind)), backend("two", says("two")), **logical()) as made:
        outcome = await made.call("search", query="a")
        assert isinstance(outcome, Failed)
        assert outcome.kind is kind
        assert not outcome.retryable
        assert calls_of(made, "two") == 0
        if kind is not FailureKind.BACKEND_ERROR:
            assert outcome.message == "'search': it went away (sent to one.find)"
            tried = [{"provider": "one.find", "sent": True, "status": "failed", "kind": kind.value}]
            assert outcome.data == {"tool": "search", "tries": tried}


@pytest.mark.parametrize("repeatable", [Provider("one.find", repeatable=True), Provider("one.find")])
async def test_a_provider_that_may_be_repeated_by_configuration_is_followed_by_the_next(tmp_path, repeatable):
    overrides = {} if repeatable.repeatable else {"one.find": Override("one.find", idempotent=True)}
    changes = logical(repeatable, Provider("two.find")) | {"overrides": overrides}
    async with whole(tmp_path, backend("one", fails(FailureKind.DIED)), backend("two", says("two")), **changes) as made:
        assert text_of(await made.call("search", query="a")) == "two"


async def test_what_a_server_says_of_itself_does_not_make_a_second_try_safe(tmp_path):
    one = backend("one", fails(FailureKind.DIED))
    one.tools[0]["annotations"] = {"readOnlyHint": True, "idempotentHint": True}
    async with whole(tmp_path, one, backend("two", says("two")), **logical()) as made:
        assert isinstance(await made.call("search", query="a"), Failed)
        assert calls_of(made, "two") == 0


async def test_an_error_of_the_tool_itself_is_an_answer_unless_the_configuration_says_otherwise(tmp_path):
    one = backend("one", says("no", isError=True))
    async with whole(tmp_path, one, backend("two", says("two")), **logical()) as made:
        assert text_of(await made.call("search", query="a")) == "no"
    one, safe = backend("one", says("no", isError=True)), Provider("one.find", repeatable=True)
    changes = logical(safe, Provider("two.find"), next_on_error=True)
    async with whole(tmp_path, one, backend("two", says("two")), **changes) as made:
        assert text_of(await made.call("search", query="a")) == "two"


async def test_a_failure_after_something_was_sent_is_not_hidden_by_a_later_one(tmp_path):
    providers = (Provider("one.find", repeatable=True), Provider("two.find"))
    one, two = backend("one", fails(FailureKind.DIED)), backend("two", fails(FailureKind.UNAVAILABLE, retryable=True))
    async with whole(tmp_path, one, two, **logical(*providers)) as made:
        outcome = await made.call("search", query="a")
        assert (outcome.kind, outcome.retryable) == (FailureKind.DIED, False)
        assert "one.find: it went away; two.find: it went away (sent to one.find)" in outcome.message


async def test_the_time_for_all_tries_together_is_that_of_the_tool(tmp_path):
    async def slow(_invocation, _talk):
        made.clock.advance(3)
        return Failed(FailureKind.UNAVAILABLE, -32000, "gone", retryable=True)

    async with whole(tmp_path, backend("one", slow), backend("two", says("two")), **logical(timeout=10.0)) as made:
        run = made.gateway.start(tool_call("search", query="a"), Ear())
        assert run.plan.target.timeout == 10.0
        assert text_of(await run.outcome()) == "two"
        assert run.plan.target.timeout == 7.0
    async with whole(tmp_path, backend("one", slow), backend("two", says("two")), **logical(timeout=3.0)) as made:
        assert (await made.call("search", query="a")).kind is FailureKind.UNAVAILABLE
        assert calls_of(made, "two") == 0


async def test_a_provider_that_fails_often_is_left_out_and_then_probed(tmp_path):
    answers = [fails(FailureKind.DIED)] * 2 + [says("one again")]

    async def play(invocation, talk):
        return await answers.pop(0)(invocation, talk)

    changes = logical(Provider("one.find", repeatable=True), Provider("two.find"), eject_after=2, eject_for=30.0)
    async with whole(tmp_path, backend("one", play), backend("two", says("two")), **changes) as made:
        for _ in range(4):
            assert text_of(await made.call("search", query="a")) == "two"
        assert calls_of(made, "one") == 2
        reasons = [reason.text for reason in made.gateway.plan(tool_call("search", query="a")).reasons]
        assert not any("one.find can take it" in text for text in reasons)
        made.clock.advance(31)
        assert text_of(await made.call("search", query="a")) == "one again"
        assert made.engine.health.standings["one.find"].ejected_until == 0.0


async def test_a_provider_takes_no_more_calls_at_once_than_its_limit(tmp_path):
    inside, go = anyio.Event(), anyio.Event()

    async def slow(_invocation, _talk):
        inside.set()
        await go.wait()
        return Completed(encode({"content": [{"type": "text", "text": "one"}]}), Era.LEGACY)

    changes = logical(Provider("one.find", max_concurrent=1), Provider("two.find", max_concurrent=1))
    async with whole(tmp_path, backend("one", slow), backend("two", slow), **changes) as made:
        runs = [made.gateway.start(tool_call("search", query="a"), Ear()) for _ in range(3)]
        with anyio.fail_after(5):
            await inside.wait()
            failed = await runs[2].outcome()
            assert isinstance(failed, Failed)
            assert (failed.kind, failed.retryable) == (FailureKind.OVERLOADED, True)
            go.set()
            assert [text_of(await run.outcome()) for run in runs[:2]] == ["one", "one"]
        assert (calls_of(made, "one"), calls_of(made, "two")) == (1, 1)


async def test_arguments_and_results_are_put_into_other_words(tmp_path):
    async def play(invocation, _talk):
        asked = invocation.params["arguments"]
        return Completed(
            encode({"content": [], "structuredContent": {"hits": [{"t": asked["q"]}], "n": 1}}), Era.MODERN
        )

    arguments = {"q": ArgumentSource("args.query + '!'"), "max": ArgumentSource(const=(3,))}
    shape = ResultShape(
        {"titles": "result.structured.hits.map(h, h.t)", "count": "result.structured.n"},
        "{{result.structured.n}} for {{args.query}}",
    )
    output = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["titles", "count"]}
    one = backend("one", play, q={"type": "string"}, max={"type": "integer"})
    changes = logical(Provider("one.find", arguments=arguments, result=shape), output_schema=output)
    async with whole(tmp_path, one, backend("two"), **changes) as made:
        outcome = await made.call("search", query="a")
        result = decode(outcome.result)
        assert result["structuredContent"] == {"titles": ["a!"], "count": 1}
        assert result["content"] == [{"type": "text", "text": "1 for a"}]
        assert made.backends["one"].sessions[0].invocations[0].params["arguments"] == {"q": "a!", "max": 3}


async def test_a_result_that_breaks_the_promised_schema_is_an_error_that_says_the_call_was_made(tmp_path):
    output = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    one = backend("one", says("x", structuredContent={"count": "many"}))
    async with whole(tmp_path, one, backend("two", says("two")), **logical(output_schema=output)) as made:
        outcome = await made.call("search", query="a")
        assert outcome.kind is FailureKind.BAD_ANSWER
        assert "does not fit the output schema" in outcome.message
        assert "sent to one.find" in outcome.message
        assert calls_of(made, "two") == 0


async def test_a_question_in_the_middle_of_a_call_reaches_the_client_and_names_the_provider(tmp_path):
    async def play(_invocation, talk):
        answer = await talk.ask(Question("elicitation/create", {"message": "sure?", "requestedSchema": {}}))
        return Completed(encode({"content": [{"type": "text", "text": answer.result["action"]}]}), Era.LEGACY)

    client = ClientFace(Era.LEGACY, "2025-11-25", {"elicitation": {}}, {"name": "c"}, "s1")
    async with whole(tmp_path, backend("one", play), backend("two"), **logical()) as made:
        port = Ear(Answer({"action": "accept"}))
        assert text_of(await made.call("search", client, port, query="a")) == "accept"
        assert len(port.asked) == 1


async def test_progress_goes_through_and_a_cancelled_call_is_tried_no_further(tmp_path):
    inside = anyio.Event()

    async def play(_invocation, talk):
        talk.progress({"progress": 1})
        inside.set()
        await anyio.sleep_forever()

    changes = logical(Provider("one.find", repeatable=True), Provider("two.find"))
    async with whole(tmp_path, backend("one", play), backend("two", says("two")), **changes) as made:
        call, port = tool_call("search", query="a"), Ear()
        call.wants_progress = True
        run = made.gateway.start(call, port)
        with anyio.fail_after(5):
            await inside.wait()
            run.cancel("enough")
            outcome = await run.outcome()
        assert outcome.kind is FailureKind.CANCELLED
        assert port.heard == [("notifications/progress", {"progress": 1})]
        assert [one["kind"] for one in tries(made)] == ["cancelled"]
        assert made.engine.health.standings["one.find"].busy == 0


async def test_a_caller_stays_with_the_provider_that_served_it(tmp_path):
    changes = logical(strategy=Strategy.STICKY)
    async with whole(tmp_path, backend("one", says("one")), backend("two", says("two")), **changes) as made:
        first = text_of(await made.call("search", query="a"))
        assert {text_of(await made.call("search", query=str(n))) for n in range(5)} == {first}
        assert list(made.gateway.engine.health._homes.values()) == [f"{first}.find"]


async def test_the_fastest_provider_is_found_by_measuring_each(tmp_path):
    def takes(seconds, text):
        async def play(_invocation, _talk):
            made.clock.advance(seconds)
            return Completed(encode({"content": [{"type": "text", "text": text}]}), Era.LEGACY)

        return play

    changes = logical(strategy=Strategy.FASTEST)
    async with whole(tmp_path, backend("one", takes(2, "one")), backend("two", takes(1, "two")), **changes) as made:
        assert [text_of(await made.call("search", query="a")) for _ in range(4)] == ["one", "two", "two", "two"]


async def test_an_override_caps_a_result_and_maps_arguments_back(tmp_path):
    override = Override("one.find", name="seek", max_result_bytes=20, timeout=5.0)
    async with whole(tmp_path, backend("one", says("x" * 50)), overrides={"one.find": override}) as made:
        outcome = await made.call("one__seek", query="a")
        assert outcome.kind is FailureKind.BAD_ANSWER
        assert "its maxResultBytes is 20" in outcome.message
        assert made.gateway.plan(tool_call("one__seek", query="a")).target.timeout == 5.0
        assert isinstance(await made.call("one__find", query="a"), Failed | ToolRefusal)


async def test_a_hidden_tool_cannot_be_called_even_where_its_server_is_the_only_one(tmp_path):
    overrides = {"one.find": Override("one.find", hide=True)}
    async with whole(tmp_path, backend("one"), overrides=overrides, specs=[spec("one")]) as made:
        for name in ("one__find", "find", "one.find"):
            assert (await made.call(name, query="a")).kind is FailureKind.UNKNOWN_NAME


async def test_the_other_era_calls_a_logical_tool_as_well(tmp_path):
    async with whole(tmp_path, backend("one", says("one")), backend("two"), **logical()) as made:
        for client in (MODERN, QUIET):
            assert text_of(await made.call("search", client, query="a")) == "one"


async def test_the_questions_of_a_modern_provider_are_carried_by_the_client_and_go_back_to_that_provider(tmp_path):
    needed = {"resultType": "input_required", "inputRequests": {"k": {"method": "roots/list"}}, "requestState": "S-1"}

    async def play(invocation, _talk):
        if invocation.params.get("requestState") == "S-1":
            return Completed(
                encode({"resultType": "complete", "content": [{"type": "text", "text": "two"}]}), Era.MODERN
            )
        return Completed(encode(needed), Era.MODERN)

    two = FakeBackend("two", speaks=(Era.MODERN,), play=play)
    two.tools = [tool("find", query={"type": "string"})]
    shape = ResultShape({"said": "result.text"})
    changes = logical(Provider("one.find"), Provider("two.find", result=shape))
    async with whole(tmp_path, backend("one", says("one")), two, **changes) as made:
        made.engine._sealer = AesGcmSealer(new_key())
        client = ClientFace(Era.MODERN, "2026-07-28", {"roots": {}})
        made.engine.health.standings["one.find"] = Standing(failures=9, ejected_until=made.clock() + 5)
        made.engine.health._ejected.add("one.find")
        shown = decode((await made.call("search", client, query="a")).result)
        assert shown["inputRequests"] == needed["inputRequests"]
        assert shown["requestState"] != "S-1"
        visit(made.engine.health)
        again = tool_call("search", client, query="a")
        again.params |= {"requestState": shown["requestState"], "inputResponses": {"k": {"roots": []}}}
        result = decode((await made.gateway.start(again, Ear()).outcome()).result)
        assert result["structuredContent"] == {"said": "two"}
        assert calls_of(made, "one") == 0


def visit(health):
    """The first provider is well again."""
    health.standings["one.find"].ejected_until = 0.0
    health._ejected.clear()


@pytest.mark.parametrize("era", list(Era))
async def test_a_provider_that_makes_a_task_is_waited_for_and_its_result_gets_the_form_of_the_tool(tmp_path, era):
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    arguments = {"label": ArgumentSource("args.label"), "seconds": ArgumentSource(const=(0.05,))}
    shape = ResultShape({"said": "result.text"})
    work = LogicalTool("work", "", schema, (Provider("one.slow_compute", arguments=arguments, result=shape),))
    async with whole(tmp_path, TaskBackend("one", era), tools={"work": work}) as made:
        made.engine._sealer = AesGcmSealer(new_key())
        for face in (ABLE, PLAIN, OLD):
            with anyio.fail_after(10):
                shown = await Client(made.gateway, face).tool("work", {"label": "x"})
                if "taskId" in shown:
                    shown = (await Client(made.gateway, face).end(shown["taskId"]))["result"]
            assert shown["structuredContent"] == {"said": "computed x"}, face


@pytest.mark.parametrize("era", list(Era))
async def test_a_legacy_client_may_have_a_call_of_a_logical_tool_become_a_task(tmp_path, era):
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    shape = ResultShape({"said": "result.text"})
    work = LogicalTool("work", "", schema, (Provider("one.slow_compute", result=shape),))
    async with whole(tmp_path, TaskBackend("one", era), tools={"work": work}) as made:
        made.engine._sealer = AesGcmSealer(new_key())
        client = Client(made.gateway, OLD)
        with anyio.fail_after(10):
            task = (await client.tool("work", {"label": "x"}, task={"ttl": 60_000}))["task"]["taskId"]
            await client.end(task)
            result = await client.ask("tasks/result", taskId=task)
        assert result["structuredContent"] == {"said": "computed x"}


async def test_an_early_call_waits_for_the_servers_of_its_providers_as_long_as_their_start_may_take(tmp_path):
    slow = backend("one", says("one"))
    slow.gate = anyio.Event()
    made = Whole(tmp_path, slow, **logical(Provider("one.find")), list_wait=0.01)
    for supervisor in made.gateway.generation.supervisors.values():
        supervisor.start()
    run = made.gateway.start(tool_call("search", query="a"), Ear())
    made.clock.advance(1)
    await anyio.wait_all_tasks_blocked()
    slow.gate.set()
    with anyio.fail_after(5):
        assert text_of(await run.outcome()) == "one"
    await made.stop()
