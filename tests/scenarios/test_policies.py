"""Rules and approvals through the whole gateway: every way round them that we know of is closed."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from delegation_kit import Desk, House
from gateway_kit import PROGRAM, legacy, modern, serving, until, write_config

pytestmark = pytest.mark.anyio

MIRROR = str(Path(__file__).resolve().parents[1] / "peers" / "mirror.py")
FORMS = {"elicitation": {"form": {}}}
ALLOW = {"action": "accept", "content": {"decision": "allow"}}


def mirror(era, name="m"):
    return {name: {"command": sys.executable, "args": [MIRROR, era, name]}}


def command(gateway, *words, code=0):
    argv = [PROGRAM, *words, "--config", str(gateway.config), "--format", "json"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else {}


async def run_command(gateway, *words, code=0):
    return await asyncio.to_thread(command, gateway, *words, code=code)


def text_of(response):
    result = response["result"]
    assert result.get("isError"), response
    return result["content"][0]["text"]


def went_well(response):
    result = response["result"]
    return "content" in result and not result.get("isError")


DENY = {"id": "no-give", "match": {"tool": ["m.give"]}, "effect": "deny", "reason": "not today"}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_clients_of_both_eras_and_the_command_line_are_refused_alike(tmp_path, era):
    async with serving(tmp_path, mirror(era), policies=[DENY]) as gateway:
        async with modern(gateway.url) as new, legacy(gateway.url) as old:
            for client in (new, old):
                listed = (await client.ask("tools/list"))[0]["result"]["tools"]
                assert "m__give" not in {tool["name"] for tool in listed}
                assert len(listed) == 4
                for name in ("m__give", "m.give", "give"):
                    said = text_of(await client.call(name, {"result": {}}))
                    assert "rule 'no-give' denies m.give: not today (" in said
                    assert "orchestrator.yaml:1)" in said
        refused = await run_command(gateway, "tools", "call", "m.give", code=6)
        assert "no-give" in json.dumps(refused) or refused == {}
        listed = await run_command(gateway, "tools", "list")
        assert "m__give" not in json.dumps(listed)
        planned = await run_command(gateway, "plan", "--call", "m.give", code=6)
        assert planned["reasons"][-1] | {"where": ""} == {
            "step": "policy", "rule": "no-give", "where": "", "text": "rule 'no-give' denies m.give: not today",
        }  # fmt: skip
        (event,) = [one for one in gateway.events("call.refused") if one.data.get("client") == "mcp-orchestrator"][:1]
        assert event.data["reasons"][-1]["rule"] == "no-give"


async def test_a_batch_of_an_old_client_is_under_the_rules(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(serving(tmp_path, mirror("legacy"), policies=[DENY]))
        client = await stack.enter_async_context(legacy(gateway.url, version="2025-03-26"))
        batch = [
            {
                "jsonrpc": "2.0",
                "id": key,
                "method": "tools/call",
                "params": {"name": name, "arguments": {"result": {}}},
            }
            for key, name in ((7, "m__give"), (8, "m__show"))
        ]
        reply = await client.post(batch)
        assert "no-give" in reply.text
        assert '"id":8' in reply.text.replace(" ", "")


async def test_plan_as_somebody_tells_every_rule_that_spoke_with_its_place(tmp_path):
    rules = [
        {
            "id": "interns",
            "match": {"group": ["interns"], "tool": ["m.*"]},
            "when": "has(args.n) && args.n > 5",
            "effect": "deny",
        },
        {"id": "ask", "match": {"tool": ["m.show"]}, "effect": "ask", "approvers": ["operator"]},
        {"id": "rate", "effect": "limit", "limit": {"count": 100}},
    ]
    identity = {"groups": {"interns": ["token:bob"]}}
    async with serving(tmp_path, mirror("modern"), policies=rules, identity=identity) as gateway:
        ada = await run_command(gateway, "plan", "--call", "m.show", "n:=7")
        bob = await run_command(gateway, "plan", "--call", "m.show", "--as", "token:bob", "--json", '{"n": 7}', code=6)
        few = await run_command(gateway, "plan", "--call", "m.show", "--as", "token:bob", "--json", '{"n": 3}')
        spoke = lambda plan: [reason["rule"] for reason in plan["reasons"] if reason["step"] == "policy"]  # noqa: E731
        assert spoke(bob) == ["ask", "rate", "interns"]
        assert spoke(few) == ["ask", "rate"]
        assert all(reason["where"] for reason in bob["reasons"] if reason["step"] == "policy")
        assert few["terms"]["approvals"][0]["approvers"] == ["operator"]
        assert ada["target"]["backend"] == "m"


ASK = {
    "id": "ask",
    "match": {"tool": ["m.show"]},
    "effect": "ask",
    "approvers": ["anonymous", "operator"],
    "expires": "30s",
}


async def test_a_modern_clients_user_agrees_once_and_a_replay_or_a_changed_byte_is_refused(tmp_path):
    async with serving(tmp_path, mirror("modern"), policies=[ASK]) as gateway:
        async with modern(gateway.url, capabilities=FORMS) as client:
            arguments = {"what": "rm -rf ./build"}
            asked = (await client.call("m__show", arguments))["result"]
            assert asked["resultType"] == "input_required"
            ((key, request),) = asked["inputRequests"].items()
            assert '{"what": "rm -rf ./build"}' in request["params"]["message"]
            back = {"inputResponses": {key: ALLOW}, "requestState": asked["requestState"]}

            changed = {"name": "m__show", "arguments": {"what": "rm -rf ./builD"}, **back}
            response, _ = await client.ask("tools/call", changed)
            assert "Invalid requestState" in response["error"]["message"]

            same = {"name": "m__show", "arguments": arguments, **back}
            response, _ = await client.ask("tools/call", same)
            assert went_well(response)
            replayed, _ = await client.ask("tools/call", same)
            assert "error" in replayed or replayed["result"] == response["result"]
        assert len(gateway.events("approval.granted")) == 1
        (granted,) = gateway.events("approval.granted")
        with gateway.journal() as journal:
            kinds = [event.kind for event in journal.run(granted.run)]
        assert kinds.index("approval.asked") < kinds.index("approval.granted") < kinds.index("run.ended")
        assert len(gateway.runs(tool="m__show", status="completed")) == 1


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_legacy_clients_user_is_asked_in_place(tmp_path, era):
    async with serving(tmp_path, mirror(era), policies=[ASK]) as gateway:
        async with legacy(gateway.url, capabilities={"elicitation": {}}, answer=lambda _: ALLOW) as client:
            assert went_well(await client.call("m__show", {"n": 1}))
            assert "rule 'ask'" in client.asked[0]["params"]["message"]
        async with legacy(
            gateway.url, capabilities={"elicitation": {}}, answer=lambda _: {"action": "decline"}
        ) as client:
            assert "was not approved" in text_of(await client.call("m__show", {"n": 1}))


async def test_the_operator_sees_and_answers_at_the_command_line_while_the_caller_waits(tmp_path):
    async with serving(tmp_path, mirror("modern"), policies=[ASK | {"approvers": ["operator"]}]) as gateway:
        async with modern(gateway.url, capabilities=FORMS) as client:
            for answer, done in (("accept", True), ("decline", False)):
                before = len(gateway.events("approval.asked"))
                calling = asyncio.ensure_future(client.call("m__show", {"n": before}, key=before + 1))
                await until(lambda: len(gateway.events("approval.asked")) > before)  # noqa: B023 - within the turn
                run = max(gateway.events("approval.asked"), key=lambda event: event.seq).run
                shown = await run_command(gateway, "runs", "show", run)
                (question,) = shown["questions"]
                assert f'{{"n": {before}}}' in question["params"]["message"]
                await run_command(gateway, "runs", "answer", run, question["question"], answer)
                response = await calling
                assert bool(response["result"].get("isError")) is not done, response
        granted = gateway.events("approval.granted")
        assert [event.data["by"] for event in granted] == ["cli"]


async def test_a_task_of_a_client_asks_its_user(tmp_path):
    abilities = {**FORMS, "extensions": {"io.modelcontextprotocol/tasks": {}}}
    async with serving(tmp_path, mirror("modern"), policies=[ASK]) as gateway:
        async with modern(gateway.url, capabilities=abilities) as client:
            response = (await client.call("m__show", {"n": 1}))["result"]
            if response["resultType"] == "task":
                task = response["taskId"]
                shown = (await client.ask("tasks/get", {"taskId": task}))[0]["result"]
                (key,) = shown["inputRequests"]
                await client.ask("tasks/update", {"taskId": task, "inputResponses": {key: ALLOW}})
            else:
                ((key, _),) = response["inputRequests"].items()
                back = {"inputResponses": {key: ALLOW}, "requestState": response["requestState"]}
                response = (await client.ask("tools/call", {"name": "m__show", "arguments": {"n": 1}, **back}))[0][
                    "result"
                ]
                assert "content" in response
        await until(lambda: gateway.runs(tool="m__show", status="completed"))


async def test_results_are_redacted_for_clients_of_both_eras(tmp_path):
    secret = "AKIA" + "A" * 16
    rules = [{"id": "keys", "effect": "redact", "redact": {"patterns": ["secret:*"], "fields": ["user.password"]}}]
    result = {
        "content": [{"type": "text", "text": f"the key is {secret}, the password hunter22"}],
        "structuredContent": {"user": {"password": "hunter22"}, "key": secret},
    }
    for era in ("modern", "legacy"):
        directory = tmp_path / era
        directory.mkdir()
        async with contextlib.AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(serving(directory, mirror(era), policies=rules))
            for era_of in (modern, legacy):
                client = await stack.enter_async_context(era_of(gateway.url))
                shown = json.dumps(await client.call("m__give", {"result": {**result, "resultType": "complete"}}))
                assert secret not in shown
                assert "hunter22" not in shown
                assert "[secret:aws]" in shown


async def test_rates_are_kept(tmp_path):
    rules = [{"id": "few", "effect": "limit", "match": {"tool": ["m.*"]}, "limit": {"count": 2, "every": "1h"}}]
    async with serving(tmp_path, mirror("modern"), policies=rules) as gateway, modern(gateway.url) as client:
        answers = [json.dumps(await client.call("m__show", {"n": n})) for n in range(3)]
        assert ["rule 'few'" in answer for answer in answers] == [False, False, True]


async def test_rules_that_change_change_what_is_listed_and_called_at_once(tmp_path):
    async with serving(tmp_path, mirror("modern")) as gateway, modern(gateway.url) as client:
        assert went_well(await client.call("m__show"))
        write_config(tmp_path, mirror("modern"), policies=[DENY | {"match": {"tool": ["m.show"]}}])
        await until(lambda: len(gateway.events("config.loaded")) > 1)
        assert "no-give" in text_of(await client.call("m__show"))
        listed = (await client.ask("tools/list"))[0]["result"]["tools"]
        assert "m__show" not in {tool["name"] for tool in listed}


# -- delegation -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def open_desk(house, **sections):
    async with serving(house.directory, config=house.config(**sections)) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


async def test_delegation_is_under_the_rules_by_tool_agent_and_mode(tmp_path):
    house = House(tmp_path).agent("good", {"say": "done"}).agent("bad", {"say": "done"})
    rules = [
        {"id": "not-bad", "match": {"agent": ["bad"]}, "effect": "deny"},
        {"id": "no-writes", "match": {"kind": ["delegation"]}, "when": 'run.mode == "write"', "effect": "deny"},
    ]
    async with open_desk(house, policies=rules) as (_, desk):
        assert (await desk.ended(await desk.begin("good")))["status"] == "completed"
        assert "not-bad" in await desk.refused("delegate", agent="bad", task="x")
        assert "no-writes" in await desk.refused(
            "delegate", agent="good", task="x", mode="write", workspace=str(house.repo)
        )


async def test_what_an_agent_calls_is_under_the_rules_of_agents(tmp_path):
    house = House(tmp_path).agent("child", {"call": {"tool": "m__show", "arguments": {}}}, {"say": "{{result}}"})
    rules = [{"id": "no-agents", "match": {"tool": ["m.*"]}, "when": "run.depth > 0", "effect": "deny"}]
    async with open_desk(house, servers=mirror("modern"), policies=rules) as (gateway, desk):
        assert went_well(await desk.client.call("m__show"))
        await desk.ended(await desk.begin("child"))
        refused = [
            event for event in gateway.events("call.refused") if event.data["reasons"][-1]["rule"] == "no-agents"
        ]
        assert [event.data["principal"].split(":")[:2] for event in refused] == [["agent", "child"]]


async def test_a_delegation_waits_for_the_operator(tmp_path):
    house = House(tmp_path).agent("good", {"say": "done"})
    rules = [{"id": "ask", "match": {"kind": ["delegation"]}, "effect": "ask"}]
    async with open_desk(house, policies=rules) as (gateway, desk):
        calling = asyncio.ensure_future(desk.tool("delegate", agent="good", task="tidy up"))
        await until(lambda: gateway.events("approval.asked"))
        asked = gateway.events("approval.asked")[0]
        shown = await run_command(gateway, "runs", "show", asked.run)
        assert "tidy up" in shown["questions"][0]["params"]["message"]
        assert not gateway.events("delegation.accepted")
        await run_command(gateway, "runs", "answer", asked.run, shown["questions"][0]["question"], "accept")
        assert (await calling)["structuredContent"]["status"] == "completed"
        assert len(gateway.events("approval.asked")) == 1
