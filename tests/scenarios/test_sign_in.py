"""Callers with tokens, against a real gateway: who is let in, what they may do, and what is refused to everybody else."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from gateway_kit import BOTH, PROGRAM, Legacy, modern, serving, until, write_config

pytestmark = pytest.mark.anyio

PEERS = Path(__file__).parents[1] / "peers"
TASKS = {"command": sys.executable, "args": [str(PEERS / "task_server.py"), "modern"]}
SOON = 3
"""Seconds: twice a second a gateway looks for changes; the rest is for a busy machine."""

FORM = {"mode": "form", "message": "Name?", "requestedSchema": {"type": "object", "properties": {}}}
ASKED = {"tag": "t", "rounds": [[{"method": "elicitation/create", "params": FORM}]]}
REQUIRED = {"required": True, "groups": {"oncall": ["token:alice"]}}
DECLARED = {"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}


def command(config, *words):
    """A finished command of the program."""
    argv = [PROGRAM, *words, "--config", str(config)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def tokens(config, *words):
    """A command of `tokens`; what it prints on standard output."""
    done = command(config, "tokens", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def two_callers(tmp_path, servers, **sections):
    """A gateway that wants sign-in, and the tokens of alice and bob."""
    sections = {"identity": REQUIRED, **sections}
    config = write_config(tmp_path, servers, **sections)
    made = {name: tokens(config, "create", name) for name in ("alice", "bob")}
    async with serving(tmp_path, config=config) as gateway:
        yield gateway, made


@contextlib.asynccontextmanager
async def speaking(url, token, **more):
    async with modern(url, **more) as client:
        client.http.headers |= bearer(token)
        yield client


async def status_of(url, headers=None, path="", query="", tool="tasks__greet"):
    """The status and headers of a modern call."""
    async with modern(url + path) as client:
        request = client.request("tools/list") if tool is None else client.request("tools/call", {"name": tool})
        request["headers"] |= headers or {}
        reply = await client.http.post(f"{client.url}{query}", **request)
        return reply.status_code, reply.headers.get("www-authenticate", ""), reply.text


def is_in_at(url):
    """Asks whether a token is let in."""

    async def is_in(token):
        return (await status_of(url, bearer(token) if token else {}, tool=None))[0] == 200

    return is_in


async def comes_true(asking, about, answer, *, within):
    """Ask until the answer is this one: a gateway tells nobody when it has seen a change."""
    async with asyncio.timeout(within):
        while await asking(about) is not answer:  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.02)


async def test_only_a_good_token_opens_the_door_and_the_refusal_says_how_to_sign_in(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made):
        url = gateway.url
        assert (await status_of(url, bearer(made["alice"]), tool=None))[0] == 200
        status, challenge, text = await status_of(url, tool=None)
        assert (status, challenge) == (401, 'Bearer realm="mcp-orchestrator"')
        assert "tokens create" in text
        altered = made["alice"][:-1] + ("0" if made["alice"][-1] != "0" else "1")
        for value in (f"Bearer {altered}", "Bearer nothing"):
            status, challenge, text = await status_of(url, {"authorization": value}, tool=None)
            assert status == 401
            assert 'error="invalid_token"' in challenge
            assert altered not in text + challenge
        assert (await status_of(url, {"authorization": f"bEARER  {made['bob']}"}, tool=None))[0] == 200
        assert (await status_of(url, {"authorization": "Basic YTpi"}, tool=None))[0] == 401
        for query in (f"?access_token={made['alice']}", f"?token={made['alice']}", "?access_token=x"):
            status, challenge, text = await status_of(url, query=query, tool=None)
            assert status == 401
            assert 'error="invalid_request"' in challenge
            status, *_ = await status_of(url, bearer(made["alice"]), query=query, tool=None)
            assert status == 401
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(url.replace("/mcp", "/healthz"))).status_code == 200
            twice = [("authorization", f"Bearer {made['alice']}"), ("authorization", f"Bearer {made['bob']}")]
            asked = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            assert (await http.post(url, json=asked, headers=[*twice, ("accept", BOTH)])).status_code == 400


async def test_a_token_is_made_revoked_and_made_anew_while_the_gateway_runs(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made):
        config, url = gateway.config, gateway.url
        late = tokens(config, "create", "late", "--expires", "2s")

        is_in = is_in_at(url)
        await comes_true(is_in, late, True, within=SOON)
        asked = {"notifications": {"toolsListChanged": True}}
        async with (
            legacy_of(url, made["alice"]) as client,
            client.listening() as heard,
            speaking(url, made["alice"]) as new,
            new.stream("subscriptions/listen", asked) as subscribed,
        ):
            assert (await subscribed())["method"] == "notifications/subscriptions/acknowledged"
            tokens(config, "revoke", "alice")
            async with asyncio.timeout(SOON):
                assert await heard() is None  # what she held open ends
                assert "result" in await subscribed()
                await comes_true(is_in, made["alice"], False, within=SOON)
            assert (await client.post({"jsonrpc": "2.0", "id": 9, "method": "ping"})).status_code == 401
        await comes_true(is_in, late, False, within=10)
        status, challenge, _ = await status_of(url, bearer(late), tool=None)
        assert (status, "expired" in challenge) == (401, True)
        again = tokens(config, "create", "alice", "--scope", "prompts")
        await comes_true(is_in, again, True, within=SOON)
        assert await is_in(made["bob"])
        assert not await is_in(made["alice"])
        kinds = {event.kind for event in gateway.events("token.created", "token.revoked", "caller.refused")}
        assert kinds == {"token.created", "token.revoked", "caller.refused"}


@contextlib.asynccontextmanager
async def legacy_of(url, token, **more):
    """A legacy client that sends a token with everything."""
    async with httpx2.AsyncClient(timeout=60, trust_env=False, headers=bearer(token)) as http:
        client = Legacy(url, http, more.get("answer"))
        await client.open("raw", more.get("capabilities", {}), "2025-11-25")
        yield client
        await client.end()


async def test_the_session_of_one_caller_is_not_there_for_another(tmp_path):
    async with (
        two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made),
        legacy_of(gateway.url, made["alice"]) as client,
    ):
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await client.post(ping)).status_code == 200
        async with httpx2.AsyncClient(timeout=20, trust_env=False, headers=bearer(made["bob"])) as other:
            for send in (
                other.post(gateway.url, json=ping, headers=client.headers),
                other.get(gateway.url, headers=client.headers),
                other.delete(gateway.url, headers=client.headers),
            ):
                assert (await send).status_code == 404
        async with httpx2.AsyncClient(timeout=20, trust_env=False) as nobody:
            assert (await nobody.post(gateway.url, json=ping, headers=client.headers)).status_code == 401
        assert (await client.post(ping)).status_code == 200


async def test_the_tasks_of_one_caller_are_not_there_for_another(tmp_path):
    async with (
        two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made),
        speaking(gateway.url, made["alice"], capabilities=DECLARED) as alice,
        speaking(gateway.url, made["bob"], capabilities=DECLARED) as bob,
    ):
        begun = await alice.call("tasks__confirm_delete", {"filename": "f"})
        task = begun["result"]["taskId"]

        async def about(client, method, **params):
            request = client.request(method, {"taskId": task, **params})
            request["headers"]["mcp-name"] = task
            return (await client.http.post(client.url, **request)).json()

        for method, params in (("tasks/get", {}), ("tasks/update", {"inputResponses": {}}), ("tasks/cancel", {})):
            assert "error" in await about(bob, method, **params)
        asked = {"notifications": {"taskIds": [task]}}
        async with bob.stream("subscriptions/listen", asked) as heard:
            acknowledged = await heard()
            assert acknowledged["params"]["notifications"] == {"taskIds": []}
        assert "error" not in await about(alice, "tasks/get")


async def test_a_call_that_waits_for_one_caller_cannot_be_answered_by_another(tmp_path):
    words = [str(PEERS / "asker.py"), "stdio", "--log", str(tmp_path / "executions"), "--era", "modern"]
    async with (
        two_callers(tmp_path, {"asker": {"command": sys.executable, "args": words}}) as (gateway, made),
        speaking(gateway.url, made["alice"], capabilities={"elicitation": {"form": {}}}) as alice,
        speaking(gateway.url, made["bob"], capabilities={"elicitation": {"form": {}}}) as bob,
    ):
        name = "asker__ask"
        waiting = (await alice.call(name, ASKED))["result"]
        assert waiting["resultType"] == "input_required", waiting
        answers = {key: {"action": "accept", "content": {}} for key in waiting["inputRequests"]}
        retry = {"name": name, "arguments": ASKED, "requestState": waiting["requestState"], "inputResponses": answers}
        stolen = (await bob.ask("tools/call", retry))[0]
        assert "Invalid requestState" in stolen["error"]["message"]
        assert "Invalid requestState" not in json.dumps((await alice.ask("tools/call", retry))[0])


async def test_the_cursor_of_one_caller_opens_no_list_of_another(tmp_path):
    async with (
        two_callers(tmp_path, {"tasks": TASKS}, limits={"pageSize": 1}) as (gateway, made),
        speaking(gateway.url, made["alice"]) as alice,
        speaking(gateway.url, made["bob"]) as bob,
    ):
        page = (await alice.ask("tools/list"))[0]["result"]
        cursor = {"cursor": page["nextCursor"]}
        assert "Invalid cursor" in (await bob.ask("tools/list", cursor))[0]["error"]["message"]
        own = (await bob.ask("tools/list"))[0]["result"]
        assert own["tools"] == page["tools"]
        assert own["nextCursor"] != page["nextCursor"]
        for client, at in ((alice, cursor), (bob, {"cursor": own["nextCursor"]})):
            assert "result" in (await client.ask("tools/list", at))[0]


async def test_what_a_token_is_not_good_for_is_neither_listed_nor_done(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS, "more": TASKS}) as (gateway, _):
        narrow = tokens(gateway.config, "create", "narrow", "--scope", "tools:tasks.*")
        none = tokens(gateway.config, "create", "none", "--scope", "prompts")
        await settled(gateway.url, none)
        async with speaking(gateway.url, narrow) as client:
            listed = [tool["name"] for tool in (await client.ask("tools/list"))[0]["result"]["tools"]]
            assert listed
            assert all(name.startswith("tasks__") for name in listed)
            refused = await client.call("more__" + listed[0].removeprefix("tasks__"))
            assert refused["error"]["data"] == {
                "kind": "refused", "retryable": True,
                "missingScope": "tools:more." + listed[0].removeprefix("tasks__"),
            }  # fmt: skip
        status, challenge, _ = await status_of(gateway.url, bearer(none), tool=listed[0])
        assert status == 403
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="tools"' in challenge
        async with speaking(gateway.url, none) as client:
            assert (await client.ask("tools/list"))[0]["result"]["tools"] == []
        async with legacy_of(gateway.url, none) as old:
            answer = await old.call(listed[0])
            assert "lacks the scope 'tools'" in answer["error"]["message"]
        done = command(gateway.config, "plan", "--call", listed[0], "--as", "token:none")
        assert done.returncode == 6, done.stderr
        assert "lacks the scope 'tools'" in done.stdout


async def settled(url, token):
    """Wait until the gateway has seen a token."""
    await comes_true(is_in_at(url), token, True, within=10)


async def test_a_token_for_a_profile_enters_by_it_alone(tmp_path):
    profiles = {"reader": {"include": ["tasks.greet"]}, "other": {}}
    async with two_callers(tmp_path, {"tasks": TASKS}, profiles=profiles) as (gateway, made):
        bound = tokens(gateway.config, "create", "bound", "--profile", "reader")
        await settled(gateway.url, bound)
        for path in ("", "/reader"):
            status, _, text = await status_of(gateway.url, bearer(bound), path=path, tool=None)
            assert (status, text.count('"inputSchema"')) == (200, 1)
        status, _, text = await status_of(gateway.url, bearer(bound), path="/other", tool=None)
        assert status == 403
        assert "'reader'" in text
        assert (await status_of(gateway.url, bearer(made["alice"]), path="/other", tool=None))[0] == 200


async def test_without_required_sign_in_a_wrong_token_is_refused_all_the_same(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS}, identity={}) as (gateway, made):
        assert (await status_of(gateway.url, tool=None))[0] == 200
        assert (await status_of(gateway.url, {"authorization": "Basic YTpi"}, tool=None))[0] == 200
        assert (await status_of(gateway.url, bearer("nonsense"), tool=None))[0] == 401
        await call_of(gateway.url, made["alice"])
        await call_of(gateway.url, None)
        callers = [run.started["principal"] for run in gateway.runs()]
        assert set(callers) == {"token:alice", "anonymous"}


async def call_of(url, token):
    async with modern(url) as client:
        if token is not None:
            client.http.headers |= bearer(token)
        return await client.call("tasks__greet", {"name": "x"})


async def test_a_reload_takes_up_who_must_sign_in(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS}, identity={}) as (gateway, made):
        assert (await status_of(gateway.url, tool=None))[0] == 200
        write_config(tmp_path, {"tasks": TASKS}, identity=REQUIRED)
        await comes_true(is_in_at(gateway.url), None, False, within=10)
        assert (await status_of(gateway.url, bearer(made["alice"]), tool=None))[0] == 200


async def test_no_token_is_written_anywhere(tmp_path):
    async with two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made):
        await call_of(gateway.url, made["alice"])
        await status_of(gateway.url, bearer(made["bob"][:-1]), tool=None)
        await status_of(gateway.url, query=f"?access_token={made['bob']}", tool=None)
        tokens(gateway.config, "revoke", "bob")
        await until(lambda: gateway.events("token.revoked"))
        await comes_true(is_in_at(gateway.url), made["bob"], False, within=10)
        told = json.dumps(gateway.told)
        for command in ("list", "list"):
            assert made["alice"] not in tokens(gateway.config, command, "--all", "--format", "json")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"token:alice" in kept
    for secret in made.values():
        assert secret[4:-7] not in told
        assert secret[4:-7].encode() not in kept


@pytest.mark.real
@pytest.mark.parametrize("mode", ["2026-07-28", "legacy", "auto"])
async def test_the_official_client_signs_in_with_a_token(tmp_path, modern_python, mode):
    async with two_callers(tmp_path, {"tasks": TASKS}) as (gateway, made):

        def run(token, calls):
            argv = [modern_python, str(PEERS / "client_sdk2.py"), mode, "http", gateway.url]
            return subprocess.run(
                argv, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False,
                env={"MCP_TEST_TOKEN": token},
            )  # fmt: skip

        calls = [{"name": "tasks__greet", "arguments": {"name": "x"}}]
        done = await asyncio.to_thread(run, made["alice"], calls)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "tasks__greet" in json.loads(done.stdout.splitlines()[-1])["tools"]
        wrong = await asyncio.to_thread(run, "nonsense", calls)
        assert wrong.returncode != 0
        narrow = tokens(gateway.config, "create", "narrow", "--scope", "tools:tasks.slow_*")
        await settled(gateway.url, narrow)
        lacking = await asyncio.to_thread(run, narrow, calls)
        assert "lacks the scope 'tools:tasks.greet'" in lacking.stderr
        refused, called = gateway.runs()
        assert (called.started["principal"], called.status) == ("token:alice", "completed")
        assert (refused.started["principal"], refused.status) == ("token:narrow", "refused")
