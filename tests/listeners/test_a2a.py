"""The A2A endpoint from outside: over the wire, and with the SDK's own client."""

import asyncio
import json
import socket

import anyio
import httpx2
import pytest
from a2a_door import AGENTS, FakeDoor, endpoint
from a2a_fake import agent as far_agent

from mcp_orchestrator.listeners.a2a import A2aListener
from mcp_orchestrator.model.agent import (
    AgentMode,
    AgentOpening,
    AgentUsage,
    CostSource,
    EndStatus,
    Text,
    ToolStatus,
    ToolUse,
    TroubleKind,
    Turn,
)
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.delegation import ChangedFile, Changes, Workspace
from mcp_orchestrator.model.snapshot import A2aSpec
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk, choosing

pytestmark = pytest.mark.anyio

PERMISSION = {
    "mode": "form",
    "message": "coder wants to run a command:\nrm x",
    "requestedSchema": {
        "type": "object",
        "properties": {"decision": {"type": "string", "enum": ["once", "no"], "enumNames": ["Allow once", "Reject"]}},
        "required": ["decision"],
    },
}
SIGN_IN = {"mode": "url", "message": "Sign in", "url": "https://login.example.com/", "elicitationId": "e"}


async def hello(run):
    run.work_on()
    run.say("thinking")
    run.end(text="Hello", structured={"n": 1})


async def for_ever(run):
    run.work_on()
    await asyncio.Event().wait()


def asking(params):
    async def script(run):
        run.work_on()
        answer = await run.ask(params)
        run.end(text=json.dumps(answer.result))

    return script


class Client:
    """A bare client of one address."""

    def __init__(self, address, http):
        self.address = address
        self.http = http

    async def call(self, method, params, *, version="1.0", path="/"):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"a2a-version": version} if version else {}
        return (await self.http.post(self.address + path, json=body, headers=headers)).json()

    async def result(self, method, params, **settings):
        answer = await self.call(method, params, **settings)
        assert "error" not in answer, answer
        return answer["result"]

    async def send(self, text="do it", *, path="/", at_once=False, metadata=None, **message):
        params = {"message": said(text, **message)}
        if at_once:
            params["configuration"] = {"returnImmediately": True}
        if metadata is not None:
            params["metadata"] = {"mcp_orchestrator": metadata}
        return (await self.result("SendMessage", params, path=path))["task"]

    async def stream(self, method, params, path="/"):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.http.stream("POST", self.address + path, json=body, headers={"a2a-version": "1.0"}) as answer:
            found = [line async for line in answer.aiter_lines()]
        return [json.loads(line[5:])["result"] for line in found if line.startswith("data:")]

    async def until(self, task, state):
        while (seen := await self.result("GetTask", {"id": task}))["status"]["state"] != state:
            await anyio.lowlevel.checkpoint()
        return seen


def said(text, **message):
    return {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": text}], **message}


class Serving:
    """The endpoint in front of a script, and a client of it, bounded in time."""

    def __init__(self, script, **settings):
        self.door = FakeDoor(script)
        self.stack = None
        self.settings = settings

    async def __aenter__(self):
        from contextlib import AsyncExitStack  # noqa: PLC0415

        self.stack = AsyncExitStack()
        await self.stack.__aenter__()
        address = await self.stack.enter_async_context(endpoint(self.door, **self.settings))
        http = await self.stack.enter_async_context(httpx2.AsyncClient(timeout=20))
        self.limit = self.stack.enter_context(anyio.fail_after(20))
        return Client(address, http)

    async def __aexit__(self, *raised):
        return await self.stack.__aexit__(*raised)


async def test_a_message_is_a_delegation_and_its_end_is_the_answer():
    serving = Serving(hello)
    async with serving as client:
        task = await client.send("do it", contextId="c1")
    assert serving.door.orders[0][0] == "do it"
    assert serving.door.orders[0][1]["context"] == "c1"
    assert (task["status"]["state"], task["contextId"]) == ("TASK_STATE_COMPLETED", "c1")
    assert [
        (one["artifactId"], one["parts"][0].get("text", one["parts"][0].get("data"))) for one in task["artifacts"]
    ] == [
        ("answer", "Hello"),
        ("structured", {"n": 1}),
    ]
    assert task["history"][0]["parts"] == [{"text": "do it"}]
    assert task["metadata"]["agent"] == "coder"


async def test_wishes_in_the_metadata_reach_the_delegation():
    serving = Serving(hello)
    async with serving as client:
        wishes = {
            "agent": "coder",
            "labels": ["code"],
            "mode": "write",
            "workspace": "/x",
            "outputSchema": {"type": "object"},
        }
        await client.send(metadata=wishes)
        await client.send(path="/agents/reader/")
        wrong = await client.call(
            "SendMessage", {"message": said("x"), "metadata": {"mcp_orchestrator": {"mode": "rule"}}}
        )
    first, second = (order for _task, order in serving.door.orders)
    assert (first["agent"], first["labels"], first["mode"]) == ("coder", ("code",), AgentMode.WRITE)
    assert (first["workspace"], first["schema"]) == ("/x", {"type": "object"})
    assert (second["agent"], second["mode"]) == ("reader", AgentMode.READ)
    assert wrong["error"]["code"] == -32602
    assert "read or write" in wrong["error"]["message"]


async def test_a_refused_delegation_and_one_that_cannot_be_recorded_are_errors_in_words():
    serving = Serving(hello)
    async with serving as client:
        serving.door.refusal = ValueError("there is no agent 'x'; there are: coder")
        refused = await client.call("SendMessage", {"message": said("x")})
        serving.door.refusal = OSError("disk full")
        lost = await client.call("SendMessage", {"message": said("x")})
    assert (refused["error"]["code"], refused["error"]["message"]) == (
        -32602,
        "there is no agent 'x'; there are: coder",
    )
    assert lost["error"]["code"] == -32603
    assert "nothing was begun" in lost["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"text": "option:once"}, {"action": "accept", "content": {"decision": "once"}}),
        ({"text": "no"}, {"action": "accept", "content": {"decision": "no"}}),
        ({"text": "Decline"}, {"action": "decline"}),
        ({"data": {"action": "cancel"}}, {"action": "cancel"}),
        ({"data": {"decision": "once"}}, {"action": "accept", "content": {"decision": "once"}}),
    ],
)
async def test_a_permission_waits_for_one_of_its_options(answer, result):
    async with Serving(asking(PERMISSION)) as client:
        task = await client.send()
        assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        message = task["status"]["message"]
        assert "rm x" in message["parts"][0]["text"]
        assert "option:once" in message["parts"][0]["text"]
        block = message["metadata"]["mcp_orchestrator_question"]
        assert block["options"] == [{"id": "once", "name": "Allow once"}, {"id": "no", "name": "Reject"}]
        done = (await client.result("SendMessage", {"message": {**said(""), "parts": [answer], "taskId": task["id"]}}))[
            "task"
        ]
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert json.loads(done["artifacts"][0]["parts"][0]["text"]) == result
    assert len(done["history"]) == 2


async def test_an_answer_that_fits_nothing_says_what_would_and_the_question_stays_open():
    async with Serving(asking(PERMISSION)) as client:
        task = await client.send()
        answer = await client.call("SendMessage", {"message": said("maybe", taskId=task["id"])})
        named = {"mcp_orchestrator_question": {"question": "q9"}}
        other = await client.call("SendMessage", {"message": said("once", taskId=task["id"], metadata=named)})
        still = await client.result("GetTask", {"id": task["id"]})
    assert answer["error"]["code"] == -32602
    assert "option:once, option:no" in answer["error"]["message"]
    assert "q9" in other["error"]["message"]
    assert still["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"


async def test_sign_in_is_auth_required_with_its_address():
    async with Serving(asking(SIGN_IN)) as client:
        task = await client.send()
        assert task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
        message = task["status"]["message"]
        assert message["metadata"]["mcp_orchestrator_question"]["url"] == "https://login.example.com/"
        assert "https://login.example.com/" in message["parts"][0]["text"]
        done = await client.send("done", taskId=task["id"])
    assert json.loads(done["artifacts"][0]["parts"][0]["text"]) == {"action": "accept"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (EndStatus.FAILED, "TASK_STATE_FAILED"),
        (EndStatus.LIMIT, "TASK_STATE_FAILED"),
        (EndStatus.UNKNOWN, "TASK_STATE_FAILED"),
        (EndStatus.REFUSED, "TASK_STATE_REJECTED"),
        (EndStatus.CANCELLED, "TASK_STATE_CANCELED"),
    ],
)
async def test_an_end_that_is_no_success_says_why(status, state):
    async def script(run):
        run.end(status, message="no luck", trouble=TroubleKind.MODEL)

    async with Serving(script) as client:
        task = await client.send()
    assert task["status"]["state"] == state
    assert task["status"]["message"]["parts"] == [{"text": "no luck"}]
    assert (task["metadata"]["status"], task["metadata"]["trouble"]) == (status.value, "model")


async def test_usage_and_money_stand_in_the_metadata_and_what_is_not_measured_does_not():
    usages = iter(
        [
            AgentUsage(10, 2, cost=1500, cost_source=CostSource.REPORTED, model="m"),
            AgentUsage(10, 2),
        ]
    )

    async def script(run):
        run.end(text="x", usage=next(usages))

    async with Serving(script) as client:
        first, second = await client.send(), await client.send()
    assert first["metadata"]["usage"] == {"input_tokens": 10, "output_tokens": 2}
    assert (first["metadata"]["cost_usd"], first["metadata"]["cost_source"]) == (0.0015, "reported")
    assert "cost_usd" not in second["metadata"]


async def test_changes_and_files_are_artifacts():
    async def script(run):
        workspace = Workspace(run.kept.id, "/w", "/s", AgentMode.WRITE, base="abc")
        run.changes = Changes((ChangedFile("a.py", "update", 1, 0),), "--- a/a.py\n")
        output = {"name": "o.txt", "type": "text/plain", "raw": "dGNr"}
        run.tools.append(ToolUse("f", "artifact", "other", "o.txt", ToolStatus.COMPLETED, output=output))
        run.stir(workspace=workspace, mode=AgentMode.WRITE)
        run.end(text="x")

    async with Serving(script) as client:
        task = await client.send(metadata={"mode": "write", "workspace": "/x"})
    made = {one["artifactId"]: one["parts"] for one in task["artifacts"]}
    assert made["files"] == [{"raw": "dGNr", "filename": "o.txt", "mediaType": "text/plain"}]
    assert made["changes"][0]["text"] == "update a.py"
    assert made["changes"][1]["filename"] == "changes.diff"


async def test_a_stream_begins_with_the_task_and_ends_with_its_state():
    async with Serving(hello) as client:
        events = await client.stream("SendStreamingMessage", {"message": said("x")})
    assert "task" in events[0]
    states = [one["statusUpdate"]["status"]["state"] for one in events if "statusUpdate" in one]
    assert states[-1] == "TASK_STATE_COMPLETED"
    texts = [one["statusUpdate"]["status"].get("message", {}).get("parts") for one in events if "statusUpdate" in one]
    made = [one["artifactUpdate"]["artifact"]["artifactId"] for one in events if "artifactUpdate" in one]
    assert made == ["answer", "structured"]
    assert all(text is None or text == [{"text": "thinking"}] for text in texts)


async def test_two_streams_of_a_task_tell_the_same_in_the_same_order():
    go = asyncio.Event()

    async def script(run):
        run.work_on()
        await go.wait()
        for number in range(20):
            run.say(f"{number} ")
            await anyio.lowlevel.checkpoint()
        run.end(text="done")

    async with Serving(script) as client:
        task = await client.send(at_once=True)
        found = []

        async def listen():
            found.append(await client.stream("SubscribeToTask", {"id": task["id"]}))

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            group.start_soon(listen)
            await client.until(task["id"], "TASK_STATE_WORKING")
            go.set()
    assert found[0][1:] == found[1][1:]
    assert found[0][-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_cancel_stops_the_run_and_a_task_that_is_over_cannot_be_cancelled():
    serving = Serving(for_ever)
    async with serving as client:
        task = await client.send(at_once=True)
        stopped = await client.result("CancelTask", {"id": task["id"]})
        again = await client.call("CancelTask", {"id": task["id"]})
        late = await client.call("SendMessage", {"message": said("more", taskId=task["id"])})
        heard = await client.call("SubscribeToTask", {"id": task["id"]})
    assert stopped["status"]["state"] == "TASK_STATE_CANCELED"
    assert again["error"]["code"] == -32002
    assert late["error"]["code"] == -32004
    assert heard["error"]["code"] == -32004
    assert serving.door.runs[task["id"]].kept.ended.status is EndStatus.CANCELLED


async def test_a_message_to_a_task_that_asks_nothing_is_refused_and_a_wrong_context_too():
    async with Serving(for_ever) as client:
        task = await client.send(at_once=True, contextId="c1")
        busy = await client.call("SendMessage", {"message": said("more", taskId=task["id"])})
        wrong = await client.call("SendMessage", {"message": said("more", taskId=task["id"], contextId="c2")})
        none = await client.call("GetTask", {"id": "nowhere"})
        empty = await client.call("SendMessage", {"message": said(" ")})
    assert busy["error"]["code"] == -32004
    assert wrong["error"]["code"] == -32602
    assert none["error"]["code"] == -32001
    assert none["error"]["data"][0]["reason"] == "TASK_NOT_FOUND"
    assert empty["error"]["code"] == -32602


async def test_tasks_are_listed_newest_first_in_pages_and_by_context_and_state():
    async with Serving(hello) as client:
        made = [(await client.send(contextId="c1" if number < 2 else "c2"))["id"] for number in range(5)]
        first = await client.result("ListTasks", {"pageSize": 3})
        second = await client.result("ListTasks", {"pageSize": 3, "pageToken": first["nextPageToken"]})
        one = await client.result("ListTasks", {"contextId": "c1", "includeArtifacts": True})
        none = await client.result("ListTasks", {"status": "TASK_STATE_WORKING"})
        lost = await client.call("ListTasks", {"pageToken": "nowhere"})
    assert [task["id"] for task in (*first["tasks"], *second["tasks"])] == made[::-1]
    assert (first["totalSize"], second["nextPageToken"]) == (5, "")
    assert "artifacts" not in first["tasks"][0]
    assert [task["id"] for task in one["tasks"]] == made[1::-1]
    assert one["tasks"][0]["artifacts"]
    assert none["tasks"] == []
    assert lost["error"]["code"] == -32602


async def test_an_agents_address_knows_its_own_tasks_alone():
    async with Serving(hello) as client:
        task = await client.send(path="/agents/reader/")
        assert task["metadata"]["agent"] == "reader"
        other = await client.call("GetTask", {"id": task["id"]}, path="/agents/coder/")
        own = await client.result("GetTask", {"id": task["id"]}, path="/agents/reader/")
        nowhere = await client.http.post(client.address + "/agents/nobody/", json={})
    assert other["error"]["code"] == -32001
    assert own["id"] == task["id"]
    assert nowhere.status_code == 404


async def test_http_json_is_served_below_the_same_addresses():
    async with Serving(hello) as client:
        headers = {"a2a-version": "1.0"}
        sent = await client.http.post(client.address + "/message:send", json={"message": said("x")}, headers=headers)
        task = sent.json()["task"]
        got = await client.http.get(f"{client.address}/tasks/{task['id']}", headers=headers)
        none = await client.http.get(f"{client.address}/tasks/nowhere", headers=headers)
        listed = await client.http.get(f"{client.address}/agents/coder/tasks", headers=headers)
    assert sent.headers["content-type"] == "application/a2a+json"
    assert got.json()["id"] == task["id"]
    assert none.status_code == 404
    assert none.json()["error"]["details"][0]["reason"] == "TASK_NOT_FOUND"
    assert len(listed.json()["tasks"]) == 1


async def test_clients_of_0_3_are_served_at_the_same_address():
    async with Serving(hello) as client:
        message = {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "x"}]}
        task = await client.result("message/send", {"message": message}, version=None)
        got = await client.result("tasks/get", {"id": task["id"]}, version=None)
        card = (await client.http.get(client.address + "/.well-known/agent.json")).json()
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    assert got["artifacts"][0]["parts"][0]["text"] == "Hello"
    assert (card["url"], card["protocolVersion"]) == (client.address + "/", "0.3")


async def test_cards_name_the_agents_and_can_be_kept_and_checked_again():
    async with Serving(hello) as client:
        first = await client.http.get(client.address + "/.well-known/agent-card.json")
        same = await client.http.get(
            client.address + "/.well-known/agent-card.json", headers={"if-none-match": first.headers["etag"]}
        )
        own = (await client.http.get(client.address + "/agents/coder/.well-known/agent-card.json")).json()
    assert first.headers["cache-control"] == "public, max-age=60"
    assert "last-modified" in first.headers
    assert (same.status_code, same.content) == (304, b"")
    card = first.json()
    assert [one["id"] for one in card["skills"]] == [spec.name for spec in AGENTS]
    assert card["supportedInterfaces"][0] == {
        "url": client.address + "/",
        "protocolBinding": "JSONRPC",
        "protocolVersion": "1.0",
    }
    assert own["name"] == "coder"
    assert own["supportedInterfaces"][1]["url"] == client.address + "/agents/coder"


async def test_the_public_address_stands_on_cards_and_its_host_is_let_in():
    async with Serving(hello, public_url="https://agents.example.com/a2a/") as client:
        assert client.address == "https://agents.example.com/a2a"


async def test_foreign_hosts_and_origins_large_bodies_and_other_content_are_refused():
    door = FakeDoor(hello)
    async with endpoint(door, max_body_bytes=2000) as address, httpx2.AsyncClient() as http:
        host = await http.get(address + "/.well-known/agent-card.json", headers={"host": "evil.example.com"})
        origin = await http.post(address + "/", json={}, headers={"origin": "https://evil.example.com"})
        large = await http.post(
            address + "/", content=b"[" + b" " * 3000 + b"]", headers={"content-type": "application/json"}
        )
        kind = await http.post(address + "/message:send", content=b"x", headers={"content-type": "text/plain"})
        deep = await http.post(address + "/", content=b"[" * 900, headers={"content-type": "application/json"})
        broken = await http.post(address + "/", content=b"{", headers={"content-type": "application/json"})
    assert (host.status_code, origin.status_code, large.status_code, kind.status_code) == (421, 403, 413, 415)
    assert "listeners.a2a" in host.json()["error"]["message"]
    assert kind.json()["error"]["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"
    assert deep.json()["error"]["code"] == -32600
    assert broken.json()["error"]["code"] == -32700
    assert door.orders == []


async def test_files_that_no_agent_can_read_are_refused_and_textual_ones_become_words():
    serving = Serving(hello)
    async with serving as client:
        parts = [{"raw": "AAAA", "mediaType": "image/png"}]
        image = await client.call("SendMessage", {"message": {**said(""), "parts": parts}})
        parts = [
            {"text": "look"},
            {"raw": "aGk=", "mediaType": "text/plain", "filename": "a.txt"},
            {"url": "https://example.com/b", "filename": "b"},
            {"data": {"k": 1}},
        ]
        await client.result("SendMessage", {"message": {**said(""), "parts": parts}})
    assert image["error"]["code"] == -32005
    task = serving.door.orders[0][0]
    assert all(word in task for word in ("look", "a.txt:\n```\nhi", "[b: https://example.com/b]", '"k": 1'))


async def test_an_address_in_use_and_a_missing_sdk_are_told_in_words(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=r"listeners\.a2a\.port"):
            await A2aListener(A2aSpec(port=port), FakeDoor(hello)).serve(lambda _address: None)
    monkeypatch.setitem(__import__("sys").modules, "mcp_orchestrator.listeners.a2a_app", None)
    with pytest.raises(OSError, match=r"mcp-orchestrator\[a2a\]"):
        await A2aListener(A2aSpec(port=0), FakeDoor(hello)).serve(lambda _address: None)


async def test_stopping_ends_open_streams():
    door = FakeDoor(for_ever)
    serving = A2aListener(A2aSpec(port=0), door)
    ready = asyncio.get_running_loop().create_future()
    with anyio.fail_after(20):
        task = asyncio.ensure_future(serving.serve(ready.set_result))
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": said("x")}}
        async with httpx2.AsyncClient(timeout=20) as http:
            headers = {"a2a-version": "1.0"}
            async with http.stream("POST", await ready + "/", json=body, headers=headers) as answer:
                lines = answer.aiter_lines()
                assert (await anext(lines)).startswith("data:")
                await serving.stop(0.0)
                await task
                with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
                    [line async for line in lines]
        await door.aclose()


@pytest.mark.parametrize("settings", [{}, {"binding": "http+json"}, {"version": "0.3"}])
async def test_our_own_client_delegates_to_our_own_endpoint(settings, tmp_path):
    async def script(run):
        run.work_on()
        run.say("thinking")
        answer = await run.ask(PERMISSION)
        run.end(text=answer.result["content"]["decision"], structured=[1])

    door = FakeDoor(script)
    with anyio.fail_after(20):
        async with endpoint(door) as address:
            agent = far_agent(address + "/agents/coder", settings=settings)
            session = await agent.open(AgentOpening(tmp_path, tmp_path, AgentMode.READ))
            talk = FakeAgentTalk(choosing("once"))
            ended = await session.turn(Turn("do it"), talk)
            await session.close()
            await agent.aclose()
    assert (ended.status, ended.text, ended.structured) == (EndStatus.COMPLETED, "once", [1])
    assert "run a command" in talk.questions[0].params["message"]
    assert door.orders[0][1]["agent"] == "coder"
    assert [one.text for one in talk.of(Text)][-1] == "once"


async def test_our_own_client_cancels_at_our_own_endpoint(tmp_path):
    door = FakeDoor(asking(PERMISSION))
    asked = asyncio.Event()
    later = asyncio.get_running_loop().create_future()

    async def answer(question):
        asked.set()
        return await later

    with anyio.fail_after(20):
        async with endpoint(door) as address:
            agent = far_agent(address)
            session = await agent.open(AgentOpening(tmp_path, tmp_path, AgentMode.READ))
            turn = asyncio.ensure_future(session.turn(Turn("do it"), FakeAgentTalk(answer)))
            await asked.wait()
            later.set_result(Answer({"action": "cancel"}, by="gateway"))
            await session.interrupt()
            ended = await turn
            await agent.aclose()
    assert ended.status is EndStatus.CANCELLED
