"""Routes of agents through the whole gateway: who takes what, who follows, how work is verified and compared."""

import contextlib
import json
import sys
import time

import anyio
import pytest
from delegation_kit import Desk, House, agent_events, git, kinds
from gateway_kit import modern, serving, until

pytestmark = pytest.mark.anyio

PROGRAM = [sys.executable, "-m", "mcp_orchestrator"]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@contextlib.asynccontextmanager
async def open_desk(house, **sections):
    async with serving(house.directory, config=house.config(**sections)) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


def ends(trouble):
    return {"end": {"status": "failed", "trouble": trouble, "message": f"no more: {trouble}"}}


async def delegated(desk, **arguments):
    shown = await desk.shown("delegate", wait=30, **{"task": "do it", **arguments})
    assert shown["status"] not in {"working", "queued"}, shown
    return shown


async def test_labels_text_workspace_and_mode_decide_and_the_plan_tells_the_same_without_doing_anything(house):
    for name in ("one", "two", "three", "rest"):
        house.agent(name, {"say": f"I am {name}"})
    routes = [
        {"id": "reviews", "match": {"labels": "review"}, "to": ["one"]},
        {"id": "fixes", "match": {"task": ["/(?i)\\bcve-[0-9]+/"], "mode": "write"}, "to": ["two"]},
        {"id": "place", "match": {"workspace": f"{house.repo}*"}, "when": "args.task.size() < 30", "to": ["three"]},
        {"id": "all", "to": ["rest"]},
    ]
    config = house.config(routes=routes)
    async with open_desk(house, routes=routes) as (gateway, desk):
        calls = [
            ({"labels": ["review"]}, "one", "reviews"),
            ({"task": "mend CVE-7", "mode": "write", "workspace": str(house.repo)}, "two", "fixes"),
            ({"workspace": str(house.repo)}, "three", "place"),
            ({"workspace": str(house.repo), "task": "x" * 40}, "rest", "all"),
            ({}, "rest", "all"),
        ]
        for arguments, agent, route in calls:
            shown = await delegated(desk, **arguments)
            assert (shown["agent"], shown["route"], shown["text"]) == (agent, route, f"I am {agent}")
            given = json.dumps({"task": "do it", **arguments})
            done = await anyio.run_process(
                [*PROGRAM, "plan", "--config", str(config), "--call", "delegate", "--json", given, "--format", "json"],
            )  # fmt: skip
            reasons = json.loads(done.stdout)["reasons"]
            told = [one for one in reasons if one["rule"] == route]
            assert f"{agent} takes it" in told[-1]["text"]
            assert told[0]["where"].startswith(f"{config}:")
        assert len((await desk.shown("run_list"))["runs"]) == len(calls), "plans begin nothing"
        assert gateway.url


async def test_an_agent_without_quota_is_followed_and_left_out_for_a_while(house):
    house.agent("first", ends("quota")).agent("second", {"say": "done"})
    routes = [{"id": "r", "to": ["first", "second"]}]
    async with open_desk(house, routes=routes) as (gateway, desk):
        shown = await delegated(desk, workspace=str(house.repo), mode="write")
        assert (shown["agent"], shown["status"]) == ("second", "completed")
        assert [one["kind"] for one in shown["tried"]] == ["quota"]
        again = await delegated(desk)
        assert "tried" not in again
        found = kinds(gateway, shown["run"])
        assert (found["delegation.started"], found["delegation.passed"], found["delegation.ended"]) == (2, 1, 1)
        done = await anyio.run_process(
            [*PROGRAM, "backends", "--config", str(gateway.config), "list", "--format", "json"],
        )  # fmt: skip
        first = next(line for line in json.loads(done.stdout) if line["name"] == "first")
        assert 0 < first["benched"]["until"] - time.time() <= 300
        assert "quota" in first["benched"]["why"]
        named = await delegated(desk, agent="first")
        assert named["error"]["kind"] == "quota", "who names it gets it"


async def test_an_agent_that_has_written_something_is_followed_by_nobody(house):
    write = {"write": {"path": "half.txt", "text": "half"}}
    house.agent("first", write, ends("quota")).agent("second", {"say": "done"})
    async with open_desk(house, routes=[{"id": "r", "to": ["first", "second"]}]) as (_gateway, desk):
        shown = await delegated(desk, workspace=str(house.repo), mode="write")
        assert (shown["agent"], shown["error"]["kind"]) == ("first", "quota")
        assert "no other agent was tried" in shown["evidence"]


async def test_a_program_that_is_not_there_is_followed(house):
    house.agents["gone"] = {"kind": "acp", "command": "there-is-no-such-agent"}
    house.agent("second", {"say": "done"})
    async with open_desk(house, routes=[{"id": "r", "to": ["gone", "second"]}]) as (_gateway, desk):
        shown = await delegated(desk)
        assert (shown["agent"], shown["tried"][0]["kind"]) == ("second", "missing")


async def test_work_is_verified_by_a_command_and_the_next_agent_goes_on_with_it(house):
    house.agent("hasty", {"write": {"path": "b.txt", "text": "wrong\n"}}, {"say": "done"})
    house.agent("careful", {"say": "I was told: {{prompt}}"}, {"write": {"path": "c.txt", "text": "right\n"}})
    check = "test -f c.txt || { echo c.txt is missing; exit 1; }; grep -q wrong b.txt"
    routes = [
        {"id": "r", "to": ["hasty", "careful"], "verify": {"command": ["sh", "-c", check]}, "escalate": True},
    ]
    async with open_desk(house, routes=routes) as (gateway, desk):
        shown = await delegated(desk, workspace=str(house.repo), mode="write")
        assert (shown["agent"], shown["status"]) == ("careful", "completed")
        assert shown["tried"][0]["kind"] == "verify"
        assert "c.txt is missing" in shown["text"]
        assert sorted(one["path"] for one in shown["changes"]["files"]) == ["b.txt", "c.txt"]
        with gateway.journal() as journal:
            found = [one.data for one in journal.run(shown["run"]) if one.kind == "delegation.verified"]
        assert [one["passed"] for one in found] == [False, True]
        assert "c.txt is missing" in found[0]["said"]
        alone = await delegated(desk, agent="hasty", workspace=str(house.repo), mode="write")
        assert (alone["status"], alone["error"]["kind"]) == ("failed", "verify")


async def test_agents_are_compared_in_worktrees_of_their_own_and_the_good_one_is_applied(house):
    for name in ("one", "two"):
        house.agent(name, {"write": {"path": "b.txt", "text": f"by {name}\n"}}, {"say": f"{name} is done"})
    verify = {"command": ["grep", "-q", "by two", "b.txt"]}
    routes = [{"id": "r", "to": ["one", "two"], "compare": 2, "verify": verify}]
    async with open_desk(house, routes=routes) as (gateway, desk):
        shown = await delegated(desk, workspace=str(house.repo), mode="write")
        assert (shown["status"], shown["text"]) == ("completed", "two is done")
        assert [(one["agent"], one["status"], one["chosen"]) for one in shown["compared"]] == [
            ("one", "failed", False),
            ("two", "completed", True),
        ]
        assert all(one["changes"]["files"][0]["path"] == "b.txt" for one in shown["compared"])
        assert "by two" in (await desk.shown("run_changes", run=shown["run"]))["diff"]
        assert (await desk.shown("run_apply", run=shown["run"]))["applied"] == ["b.txt"]
        assert (house.repo / "b.txt").read_text() == "by two\n"
        assert git(house.repo, "worktree", "list").count("\n") == 3
        run = shown["compared"][0]["run"]
        assert agent_events(gateway, run, "text")


async def test_a_comparison_survives_a_killed_gateway(house):
    house.agent("one", {"write": {"path": "b.txt", "text": "by one\n"}}, {"say": "one is done"})
    house.agent("two", {"say": "begun"}, {"wait": {"until": str(house.directory / "go")}}, {"say": "two is done"})
    routes = [{"id": "r", "to": ["one", "two"], "compare": 2}]
    config = house.config(routes=routes)
    async with serving(house.directory, config=config) as gateway:
        async with modern(gateway.url) as client:
            desk = Desk(client)
            shown = await desk.shown("delegate", task="x", wait=0, workspace=str(house.repo), mode="write")
            runs = [one["run"] for one in shown["compared"]]
            await until(lambda: kinds(gateway, runs[0])["delegation.ended"] and agent_events(gateway, runs[1], "text"))
        await gateway.kill()
    house.go("go")
    async with serving(house.directory, config=config) as gateway, modern(gateway.url) as client:
        desk = Desk(client)
        ended = await desk.ended(shown["run"])
        assert ended["status"] == "completed"
        assert [(one["agent"], one["status"]) for one in ended["compared"]] == [
            ("one", "completed"),
            ("two", "completed"),
        ]
        assert kinds(gateway, runs[0])["delegation.started"] == 1, "what was done is not done again"


async def test_a_rule_that_keeps_somebody_from_an_agent_is_gone_round_by_no_route(house):
    house.agent("first", ends("quota")).agent("dear", {"say": "done"})
    deny = {"id": "not-dear", "match": {"kind": "delegation", "agent": "dear"}, "effect": "deny"}
    routes = [{"id": "r", "to": ["first", "dear"]}]
    async with open_desk(house, routes=routes, policies=[deny]) as (_gateway, desk):
        shown = await delegated(desk)
        assert (shown["agent"], shown["status"]) == ("first", "failed")
        said = await desk.refused("delegate", task="x", agent="dear")
        assert "not-dear" in said
        later = await desk.refused("delegate", task="x")
        assert "dear is passed over" in later


async def test_an_agent_with_a_budget_of_its_own_does_not_follow_for_nothing_of_it_is_held(house):
    house.agent("first", ends("quota")).agent("dear", {"say": "done"}).agent("cheap", {"say": "cheap"})
    budgets = [
        {"id": "all", "limit": {"calls": 100}, "match": {"kind": "delegation"}, "window": "day"},
        {"id": "dear-month", "limit": {"calls": 5}, "match": {"agent": "dear"}, "window": "month"},
    ]
    routes = [{"id": "r", "to": ["first", "dear", "cheap"]}]
    async with open_desk(house, routes=routes, budgets=budgets) as (gateway, desk):
        shown = await delegated(desk)
        assert (shown["agent"], shown["status"]) == ("cheap", "completed")
        with gateway.journal() as journal:
            passed = next(one.data for one in journal.run(shown["run"]) if one.kind == "delegation.passed")
        assert any("dear is passed over: it is under a budget" in one["text"] for one in passed["reasons"])
        assert (await delegated(desk, agent="dear"))["status"] == "completed"
