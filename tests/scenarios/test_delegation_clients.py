"""Clients of a delegation: they leave while it asks, answer for each other, cancel, wait, poll and follow tasks."""

import asyncio
import contextlib

import anyio
import pytest
from delegation_kit import MAY_I, TASKS, Desk, House, kinds, told
from gateway_kit import legacy, modern, piped, serving, until

pytestmark = pytest.mark.anyio

FORMS = {"elicitation": {"form": {}}}
ASKS = {"ask": MAY_I, "then": {"yes": [{"say": "allowed"}], "else": [{"say": "not allowed"}]}}


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path).agent("asker", {"say": "hm"}, ASKS).agent("slow", {"wait": {"until": "go"}}, {"say": "went"})
    return made.agent("quick", {"say": "quick"})


@contextlib.asynccontextmanager
async def open_desk(house, **sections):
    async with serving(house.directory, config=house.config(**sections)) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


def runs_of(gateway):
    with gateway.journal() as journal:
        return [event.run for event in journal.events(["delegation.accepted"], 100)]


async def the_run(gateway):
    await until(lambda: runs_of(gateway))
    return runs_of(gateway)[0]


@pytest.mark.parametrize("when", [0.0, 0.002, 0.01, 0.3])
async def test_a_call_that_is_cut_at_any_moment_leaves_a_run_that_goes_on(house, when):
    async with open_desk(house) as (gateway, desk), modern(gateway.url) as client:
        call = asyncio.ensure_future(client.call("delegate", {"agent": "slow", "task": "x", "wait": 50}))
        await asyncio.wait({call}, timeout=when)
        call.cancel()
        await asyncio.wait({call})
        house.go("go")
        await desk.tool("run_list")
        for run in runs_of(gateway):
            assert (await desk.ended(run))["text"] == "went"
        listed = (await desk.shown("run_list"))["runs"]
        assert [one["status"] for one in listed] in ([], ["completed"]), "what was accepted is carried out"


async def test_a_legacy_session_that_is_ended_while_it_is_asked_leaves_the_question_to_others(house):
    async with open_desk(house) as (gateway, desk):
        async with legacy(gateway.url, capabilities={"elicitation": {}}) as client:
            body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call"}
            body["params"] = {"name": "delegate", "arguments": {"agent": "asker", "task": "x", "wait": 50}}
            call = asyncio.ensure_future(client.post(body))  # the question on its stream is never answered
            run = await the_run(gateway)
            await told(gateway, run, "question.asked")
            await client.end()
            await asyncio.wait({call}, timeout=5)
        assert call.done()
        assert call.exception() is None
        assert (await desk.status(run, 1))["status"] == "input_required"
        await desk.shown("run_answer", run=run, option="yes")
        assert (await desk.ended(run))["text"] == "allowed"


async def test_a_client_on_pipes_that_leaves_takes_its_gateway_along_and_the_next_one_asks_again(house):
    config = house.config()
    async with piped(config) as client:
        await client.initialize({"elicitation": {}})
        client.start("tools/call", {"name": "delegate", "arguments": {"agent": "asker", "task": "x"}}, 7)
        async with asyncio.timeout(20):
            while (await client.heard.get()).get("method") != "elicitation/create":
                pass
        client.process.stdin.close()
        client.process.kill()  # as clients do soon after
    async with piped(config) as client:
        await client.initialize()
        listed = await client.ask("tools/call", {"name": "run_list", "arguments": {"open": True}}, 1)
        (one,) = listed["result"]["structuredContent"]["runs"]
        await client.ask("tools/call", {"name": "run_status", "arguments": {"run": one["run"], "wait": 5}}, 2)
        answer = {"run": one["run"], "option": "yes"}
        await client.ask("tools/call", {"name": "run_answer", "arguments": answer}, 3)
        shown = await client.ask("tools/call", {"name": "run_status", "arguments": {"run": one["run"], "wait": 5}}, 4)
        assert shown["result"]["structuredContent"]["text"] == "allowed"


async def test_a_client_that_cancels_during_an_open_question_ends_the_run(house):
    async with open_desk(house) as (gateway, desk), legacy(gateway.url, capabilities={"elicitation": {}}) as client:
        body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call"}
        body["params"] = {"name": "delegate", "arguments": {"agent": "asker", "task": "x", "wait": 50}}
        call = asyncio.ensure_future(client.post(body))
        run = await the_run(gateway)
        await told(gateway, run, "question.asked")
        params = {"requestId": 9, "reason": "the user pressed stop"}
        await client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
        with gateway.journal() as journal:
            await until(lambda: journal.delegation(run).state == "ended")
            kept = journal.delegation(run)
        assert (kept.ended.status, "pressed stop" in kept.ended.message) == ("cancelled", True)
        assert "has ended" in await desk.refused("run_answer", run=run, option="yes")
        await asyncio.wait({call}, timeout=10)


async def test_of_two_answers_at_once_one_wins_and_the_other_hears_of_it(house):
    async with open_desk(house) as (gateway, desk), modern(gateway.url) as other:
        for _ in range(5):
            run = await desk.begin("asker")
            await desk.status(run, 5)
            both = await asyncio.gather(
                desk.client.call("run_answer", {"run": run, "question": "q1", "option": "yes"}),
                other.call("run_answer", {"run": run, "question": "q1", "option": "no"}),
            )
            refused = [one["result"]["content"][0]["text"] for one in both if one["result"].get("isError")]
            assert len(refused) == 1
            assert "was answered already (by run_answer by" in refused[0] or "has ended" in refused[0], refused
            won = "not allowed" if both[0]["result"].get("isError") else "allowed"
            assert (await desk.ended(run))["text"] == won
            assert kinds(gateway, run)["question.answered"] == 1


async def test_what_nobody_answers_in_time_is_refused_in_well_formed_fashion(house):
    async with open_desk(house, questions={"expire": "1s"}) as (_gateway, desk):
        run = await desk.begin("asker")
        async with asyncio.timeout(10):
            while (shown := await desk.status(run, 5))["status"] == "input_required":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert shown["text"] == "not allowed"
        assert "has ended" in await desk.refused("run_answer", run=run, option="yes")


async def test_a_modern_client_that_never_comes_back_with_its_answer_does_not_hold_the_run(house):
    async with open_desk(house) as (gateway, desk), modern(gateway.url, capabilities=FORMS) as client:
        arguments = {"agent": "asker", "task": "x", "wait": 50}
        response = await client.call("delegate", arguments)
        assert response["result"]["resultType"] == "input_required"
        run = await the_run(gateway)
        await desk.shown("run_answer", run=run, question="q1", option="no")
        assert (await desk.ended(run))["text"] == "not allowed"
        late = {"action": "accept", "content": {"decision": "yes"}}
        answers = dict.fromkeys(response["result"]["inputRequests"], late)
        params = {"name": "delegate", "arguments": arguments, "inputResponses": answers}
        params["requestState"] = response["result"]["requestState"]
        again, _ = await client.ask("tools/call", params)
        assert again["result"]["structuredContent"]["text"] == "not allowed", "too late an answer changes nothing"
        assert len(runs_of(gateway)) == 1, "coming back began nothing anew"


async def test_a_poller_hears_of_the_end_at_once(house):
    async with open_desk(house) as (_gateway, desk), modern(desk.client.url) as other:
        run = await desk.begin("slow")
        loop = asyncio.get_running_loop()
        polls = [
            asyncio.ensure_future(one.call("run_status", {"run": run, "wait": 30})) for one in (other, desk.client)
        ]
        begun = loop.time()
        assert (await desk.status(run, 0.3))["status"] == "working"
        house.go("go")
        with anyio.fail_after(5):
            shown = [(await poll)["result"]["structuredContent"]["status"] for poll in polls]
        assert shown == ["completed", "completed"]
        assert loop.time() - begun < 5


class Following:
    """A client that carries tasks."""

    def __init__(self, client):
        self.client = client

    async def about(self, method, task, **params):
        request = self.client.request(method, {"taskId": task, **params})
        request["headers"]["mcp-name"] = task
        return (await self.client.http.post(self.client.url, **request)).json()

    async def until(self, task, *statuses):
        async with asyncio.timeout(20):
            while (shown := (await self.about("tasks/get", task))["result"])["status"] not in statuses:  # noqa: ASYNC110
                await asyncio.sleep(0.03)
        return shown


async def test_a_task_of_a_delegation_is_followed_answered_and_cancelled(house):
    async with open_desk(house) as (gateway, desk), modern(gateway.url, capabilities={**TASKS, **FORMS}) as client:
        tasks = Following(client)
        response = await client.call("delegate", {"agent": "asker", "task": "x"})
        assert response["result"]["resultType"] == "task"
        task = response["result"]["taskId"]
        heard = []
        filters = {"notifications": {"taskIds": [task]}}
        async with client.stream("subscriptions/listen", filters, key="s") as take:
            await take()  # acknowledged
            shown = await tasks.until(task, "input_required")
            yes = {"action": "accept", "content": {"decision": "yes"}}
            answers = dict.fromkeys(shown["inputRequests"], yes)
            assert "error" not in await tasks.about("tasks/update", task, inputResponses=answers)
            ended = await tasks.until(task, "completed")
            assert ended["result"]["structuredContent"]["text"] == "allowed"
            async with asyncio.timeout(10):
                while not heard or heard[-1] != "completed":
                    message = await take()
                    if message["method"] == "notifications/tasks":
                        heard.append(message["params"]["status"])
        assert heard.count("completed") == 1
        cancelled = (await client.call("delegate", {"agent": "slow", "task": "x"}))["result"]["taskId"]
        await tasks.about("tasks/cancel", cancelled)
        await tasks.until(cancelled, "cancelled")
        run = runs_of(gateway)[0]
        assert (await desk.ended(run))["status"] == "cancelled"


async def test_signs_of_life_never_come_just_before_the_result(house):
    async with open_desk(house) as (gateway, _desk), legacy(gateway.url) as client:
        begun = asyncio.get_running_loop().time()
        arguments = {"agent": "slow", "task": "x", "wait": 1}
        response, notes = await client.ask(
            "tools/call", {"name": "delegate", "arguments": arguments}, meta={"progressToken": 1}
        )
        assert response["result"]["structuredContent"]["status"] == "working"
        assert notes == []
        assert asyncio.get_running_loop().time() - begun < 5
