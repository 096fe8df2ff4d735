"""What agents and clients may not: act on runs of others, see what is hidden, come back late, learn or leak secrets."""

import contextlib
import json
import shlex
import sys

import httpx2
import pytest
from delegation_kit import MAY_I, Desk, House, kinds
from gateway_kit import modern, serving, unruly, until

pytestmark = pytest.mark.anyio

REUSE = """
import json, os, sys, urllib.request
server = json.loads(os.environ["OPENING"])["mcpServers"][0]
given = {"url": server["url"], "headers": {one["name"]: one["value"] for one in server["headers"]}}
open(sys.argv[1], "w").write(json.dumps(given))
print("the token is", given["headers"]["Authorization"])
"""


@pytest.fixture
def house(tmp_path):
    return House(tmp_path).agent("asker", {"ask": MAY_I, "then": {"yes": [{"say": "allowed"}]}}).shell("shell")


@contextlib.asynccontextmanager
async def open_desk(house, **sections):
    async with serving(house.directory, config=house.config(**sections)) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


def python(code, *arguments):
    return shlex.join([sys.executable, "-c", code, *map(str, arguments)])


async def test_an_agent_acts_on_no_runs_but_those_it_began(house):
    async with open_desk(house) as (gateway, desk):
        run = await desk.begin("asker")
        await desk.status(run, 5)
        calls = [
            {"tool": tool, "arguments": {"run": run, **more}}
            for tool, more in (
                ("run_status", {}), ("run_changes", {}), ("run_apply", {}), ("run_cancel", {}), ("run_answer", {"option": "yes"}),
            )
        ]  # fmt: skip
        house.agent("thief", *[step for call in calls for step in ({"call": call}, {"say": "{{result}}"})])
        await gateway_reloaded(gateway, house)
        thief = await desk.begin("thief")
        await desk.ended(thief)
        with gateway.journal() as journal:
            said = [one.data["text"] for one in journal.run(thief) if one.data.get("type") == "text"]
        assert len(said) == 5
        assert all("there is no run" in one or "a person must answer" in one for one in said), said
        assert (await desk.status(run))["status"] == "input_required"
        assert (await desk.shown("run_list"))["runs"]


async def gateway_reloaded(gateway, house, **sections):
    loaded = len(gateway.events("config.loaded"))
    house.config(**sections)
    await until(lambda: len(gateway.events("config.loaded")) > loaded)


async def test_the_way_in_is_closed_when_the_run_is_over_and_its_token_is_shown_to_nobody(house):
    async with open_desk(house) as (gateway, desk):
        kept = house.directory / "kept"
        shown = await desk.ended(await desk.begin("shell", python(REUSE, kept)))
        token = json.loads(kept.read_text())
        assert shown["text"] == "the token is Bearer <secret>\n"
        secret = token["headers"]["Authorization"].removeprefix("Bearer ")
        await until(lambda: kinds(gateway, shown["run"])["delegation.ended"])
        for path in (gateway.state, gateway.state.with_name("state.db-wal")):
            assert not path.exists() or secret.encode() not in path.read_bytes()
        async with modern(token["url"]) as late:
            late.http.headers.update(token["headers"])
            reply = await late.http.post(token["url"], **late.request("tools/list"))
            assert reply.status_code == 401


async def test_agents_get_a_clean_environment_and_their_secrets_are_told_nobody(house, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "gateway-s3cret")
    monkeypatch.setenv("KEY_OF_THE_AGENT", "agent-s3cret-key")
    house.shell("shell", env={"API_KEY": "${secret:env/KEY_OF_THE_AGENT}"})
    async with open_desk(house) as (gateway, desk):
        task = 'env; printf "%s" "$API_KEY" | cut -c 1-5; echo "$API_KEY" >&2; readlink -f "$TMPDIR"'
        shown = await desk.ended(await desk.begin("shell", task, workspace=str(house.repo)))
        names = {line.split("=")[0] for line in shown["text"].splitlines() if "=" in line}
        assert "API_KEY" in names
        assert not names & {"SECRET_OF_THE_GATEWAY", "KEY_OF_THE_AGENT"}
        assert "agent-s3cret-key" not in json.dumps(shown)
        assert "API_KEY=<secret>" in shown["text"]
        assert str(house.directory / "ws" / shown["run"]) in shown["text"], "a TMPDIR of its own"
        refused = await desk.ended(await desk.begin("shell", "echo $API_KEY; kill $PPID; sleep 5"))
        assert refused["status"] != "completed"
        assert "agent-s3cret-key" not in json.dumps(refused)
        await gateway.kill(15)
        told = json.dumps(gateway.told)
        for path in (gateway.state, gateway.state.with_name("state.db-wal")):
            text = path.read_bytes() if path.exists() else b""
            assert b"s3cret" not in text
        assert "s3cret" not in told


async def test_what_a_profile_hides_from_the_caller_is_hidden_from_its_agents(house):
    calls = [{"call": {"tool": name, "arguments": {}}} for name in ("one__count", "two__count")]
    house.agent("curious", calls[0], {"say": "{{result}}"}, calls[1], {"say": "{{result}}"})
    servers = {"one": unruly(), "two": unruly()}
    profiles = {"narrow": {"include": ["one.*", "delegate", "run_*"]}, "alone": {"include": ["one.*"]}}
    async with open_desk(house, servers=servers, profiles=profiles) as (gateway, _desk):
        async with modern(f"{gateway.url}/narrow") as client:
            desk = Desk(client)
            run = (await desk.ended(await desk.begin("curious")))["run"]
            with gateway.journal() as journal:
                tools = [one.data for one in journal.run(run) if one.data.get("type") == "tool"]
            states = [one["status"] for one in tools if one["status"] != "running"]
            assert states == ["completed", "failed"]
        async with modern(f"{gateway.url}/alone") as client:
            names = [tool["name"] for tool in (await client.ask("tools/list"))[0]["result"]["tools"]]
            assert "delegate" not in names
            assert "error" in await client.call("delegate", {"task": "x"})


async def test_an_agent_that_is_removed_or_changed_while_it_works_ends_its_work_as_it_began(house):
    house.agent("slow", {"wait": {"until": "go"}}, {"say": "went"}, maxRuns=1)
    async with open_desk(house) as (gateway, desk):
        first, second = await desk.begin("slow"), await desk.begin("slow")
        await until(lambda: kinds(gateway, first)["delegation.bound"])
        slow = house.agents.pop("slow")
        await gateway_reloaded(gateway, house)
        assert "slow" in await desk.refused("delegate", task="x", agent="slow")
        shown = await desk.ended(second)
        assert (shown["status"], shown["error"]["kind"]) == ("failed", "missing")
        house.agents["slow"] = {**slow, "maxRuns": 4}
        await gateway_reloaded(gateway, house)
        house.go("go")
        assert (await desk.ended(first))["text"] == "went"
        assert (await desk.ended(await desk.begin("slow")))["text"] == "went"
        house.agents.clear()
        await gateway_reloaded(gateway, house)
        assert (await desk.status(first))["text"] == "went", "what was done can be asked about without any agent"


WRONG = [
    ("delegate", {}, "task"),
    ("delegate", {"task": ""}, "task"),
    ("delegate", {"task": 7}, "task"),
    ("delegate", {"task": "x", "agent": "nobody"}, "agent"),
    ("delegate", {"task": "x", "agent": None, "labels": "fast"}, "labels"),
    ("delegate", {"task": "x", "labels": [f"l{number}" for number in range(1000)]}, "labels"),
    ("delegate", {"task": "x", "mode": "admin"}, "mode"),
    ("delegate", {"task": "x", "wait": -1}, "wait"),
    ("delegate", {"task": "x", "wait": 1e300}, "wait"),
    ("delegate", {"task": "x", "wait": "long"}, "wait"),
    ("delegate", {"task": "x", "budget": 5}, "budget"),
    ("delegate", {"task": "x", "budget": {"usd": 0}}, "usd"),
    ("delegate", {"task": "x", "budget": {"eur": 1}}, "eur"),
    ("delegate", {"task": "x", "budget": {"turns": 1.5}}, "turns"),
    ("delegate", {"task": "x", "outputSchema": []}, "outputSchema"),
    ("delegate", {"task": "x", "outputSchema": {"type": "rubbish"}}, "outputSchema"),
    ("delegate", {"task": "x", "outputSchema": {"$schema": "https://example.org/none", "type": "object"}}, "outputSchema"),
    ("delegate", {"task": "x", "outputSchema": {"$ref": "https://example.org/x.json"}}, "outputSchema"),
    ("delegate", {"task": "x", "workspace": 3}, "workspace"),
    ("delegate", {"task": "x", "context": {}}, "context"),
    ("delegate", {"task": "x", "more": 1}, "more"),
    ("run_status", {}, "run"),
    ("run_status", {"run": 1}, "run"),
    ("run_status", {"run": "none"}, "there is no run"),
    ("run_status", {"run": "x" * 100_000}, "there is no run"),
    ("run_list", {"limit": 0}, "limit"),
    ("run_list", {"open": "yes"}, "open"),
    ("run_answer", {"run": "none"}, "there is no run"),
    ("run_answer", {"run": "none", "action": "maybe"}, "action"),
    ("run_answer", {"run": "none", "content": "x"}, "content"),
    ("run_cancel", {"run": ""}, "run"),
    ("run_cancel", {"run": "none"}, "there is no run"),
    ("run_changes", {"run": []}, "run"),
    ("run_changes", {"run": "none"}, "there is no run"),
    ("run_apply", {"run": "none"}, "there is no run"),
]  # fmt: skip


async def test_every_wrong_order_is_refused_shortly_and_begins_nothing(house):
    async with open_desk(house) as (gateway, desk):
        for tool, arguments, word in WRONG:
            text = await desk.refused(tool, **arguments)
            assert word in text, (tool, str(arguments)[:200], text)
            assert len(text) < 2000, (tool, str(arguments)[:80], len(text))
        assert not gateway.events("delegation.accepted")
        with contextlib.suppress(httpx2.HTTPError):  # the listener may close what is too large while it is sent
            reply = await desk.client.http.post(
                gateway.url, **desk.client.request("tools/call", {"x": "t" * 10_000_000})
            )
            assert reply.status_code in {400, 413, 431}
        assert not gateway.events("delegation.accepted")
        run = await desk.begin("asker", task="t" * 3_500_000)
        shown = await desk.status(run, 5)
        assert shown["status"] == "input_required"
        for wrong, word in (
            ({"question": "q9"}, "not open"), ({"option": "maybe"}, "yes, no"), ({"content": {"decision": "x"}}, "decision"),
            ({"content": {"decision": 1}}, "decision"), ({"question": 1}, "question"),
        ):  # fmt: skip
            assert word in await desk.refused("run_answer", run=run, **wrong), wrong
        await desk.shown("run_answer", run=run, option="yes")
        assert (await desk.ended(run))["text"] == "allowed"
        listed = json.dumps(await desk.shown("run_list"))
        assert len(listed) < 2000
        assert gateway.state.stat().st_size < 60_000_000


async def test_the_command_line_lists_shows_answers_and_cancels_delegations(house, run_program):
    house.agent("slow", {"say": "at it"}, {"wait": {"until": "never"}})
    async with open_desk(house) as (gateway, desk):

        async def command(*words):
            from anyio import to_thread  # noqa: PLC0415

            def work():
                return run_program("runs", *words, "--format", "json", config=gateway.config)

            return await to_thread.run_sync(work)

        run, slow = await desk.begin("asker"), await desk.begin("slow")
        await desk.status(run, 5)
        listed = {one["run"]: one["status"] for one in json.loads((await command("list")).stdout)["runs"]}
        assert (listed[run], listed[slow]) == ("waiting", "running")
        (question,) = json.loads((await command("show", run)).stdout)["questions"]
        assert (question["question"], question["params"]["requestedSchema"]["properties"]["decision"]["enum"]) == (
            "q1",
            ["yes", "no"],
        )
        for words, code in (
            (("answer", run, "q1", "accept", "--option", "maybe"), 2),
            (("answer", run, "q7", "accept", "--option", "yes"), 2),
            (("show", "none"), 2),
            (("cancel", "none"), 2),
            (("answer", run, "q1", "accept", "--option", "yes"), 0),
            (("answer", run, "q1", "accept", "--option", "no"), 2),
            (("cancel", slow), 0),
            (("watch", slow), 0),
        ):
            done = await command(*words)
            assert done.returncode == code, (words, done.stdout, done.stderr)
        assert "by cli" in (await command("answer", run, "q1", "accept", "--option", "no")).stderr
        assert (await desk.ended(run))["text"] == "allowed"
        assert (await desk.ended(slow))["status"] == "cancelled"
        listed = {one["run"]: one["status"] for one in json.loads((await command("list")).stdout)["runs"]}
        assert (listed[run], listed[slow]) == ("completed", "cancelled")
