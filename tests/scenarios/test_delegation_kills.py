"""The gateway is killed at every state of a delegation's life: nothing is begun twice, nothing is told twice, and
nothing is lost: what cannot be known is asked.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sys

import anyio
import httpx2
import pytest
from delegation_kit import MAY_I, Desk, House, agent_events, git, kinds, told
from gateway_kit import modern, serving, until

from mcp_orchestrator.storage.reading import JournalReader

pytestmark = pytest.mark.anyio

SLOW_GIT = """#!/bin/sh
{git} "$@"
done=$?
case "$*" in *"{step}"*) touch {mark}; sleep 1;; esac
exit $done
"""


@contextlib.asynccontextmanager
async def desk(house, config):
    """A gateway over a configuration that was written already, and a client of it."""
    async with serving(house.directory, config=config) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


def fresh_starts(gateway, run):
    """How often an agent was started on a task from its beginning."""
    with gateway.journal() as journal:
        return sum(
            event.kind == "delegation.started" and not event.data["again"] for event in journal.run(run)
        )  # fmt: skip


def last_words(gateway, run):
    """The last kind of event of each question of a run."""
    with gateway.journal() as journal:
        said = [event for event in journal.run(run) if event.kind.startswith("question.")]
    return {event.data["question"]: event.kind for event in said}.values()


def all_closed(gateway):
    """Whether every delegation has its end, and everything behind it is done."""
    with gateway.journal() as journal:
        runs = {event.run for event in journal.events(["delegation.accepted"], 1000)}
        return all(journal.delegation(run).state == "ended" for run in runs)


async def test_a_run_that_waits_for_its_place_is_begun_once_after_the_kill(tmp_path):
    house = House(tmp_path).agent("slow", {"say": "begun"}, {"wait": {"until": "go"}}, {"say": "went"}, maxRuns=1)
    config = house.config()
    async with desk(house, config) as (gateway, client):
        runs = [await client.begin("slow") for _ in range(3)]
        await told(gateway, runs[0], "delegation.bound")
        assert [(await client.status(run))["status"] for run in runs] == ["working", "queued", "queued"]
        await gateway.kill()
    async with desk(house, config) as (gateway, client):
        assert {(await client.status(run))["status"] for run in runs} <= {"working", "queued"}
        house.go("go")
        for run in runs:
            assert (await client.ended(run))["text"] == "went"
            assert fresh_starts(gateway, run) == 1
            counted = kinds(gateway, run)
            assert (counted["delegation.accepted"], counted["delegation.ended"]) == (1, 1)


@pytest.mark.parametrize("step", ["write-tree", "worktree add"])
async def test_killed_while_the_workspace_is_made_it_is_made_anew(tmp_path, monkeypatch, step):
    house = House(tmp_path).agent("writer", {"write": {"path": "n.txt", "text": "x"}}, {"say": "done"})
    mark, slow = tmp_path / "mark", tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(SLOW_GIT.format(git=shutil.which("git"), step=step, mark=mark))
    slow.chmod(0o755)
    config = house.config()
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
        async with desk(house, config) as (gateway, client):
            run = await client.begin("writer", mode="write", workspace=str(house.repo))
            await until(mark.exists)
            await gateway.kill()
    async with desk(house, config) as (gateway, client):
        shown = await client.ended(run)
        assert (shown["status"], [one["path"] for one in shown["changes"]["files"]]) == ("completed", ["n.txt"])
        assert fresh_starts(gateway, run) == 1
        assert (await client.shown("run_apply", run=run))["applied"] == ["n.txt"]


async def test_killed_while_the_agent_starts_nobody_knows_and_a_person_is_asked(tmp_path):
    house = House(tmp_path)
    begun = tmp_path / "begun"
    program = f"open({str(begun)!r}, 'a').write('x'); import time; time.sleep(60)"
    house.agents["hangs"] = {"kind": "acp", "command": [sys.executable, "-c", program]}
    config = house.config()
    async with desk(house, config) as (gateway, client):
        run = await client.begin("hangs")
        await until(lambda: begun.exists() and begun.read_text())
        await gateway.kill()
    for _ in range(2):  # the question survives another restart
        async with desk(house, config) as (gateway, client):
            question = (await client.status(run, 5))["question"]
            assert (question["id"], question["options"]) == ("q1", ["start_again", "give_up"])
            assert begun.read_text() == "x", "it was not started again"
            await gateway.kill()
    async with desk(house, config) as (gateway, client):
        await client.status(run, 5)
        await client.shown("run_answer", run=run, question="q1", option="give_up")
        shown = await client.ended(run)
        assert shown["status"] == "unknown"
        assert "whether it began is not on record" in shown["evidence"]
        assert (begun.read_text(), kinds(gateway, run)["delegation.ended"]) == ("x", 1)


async def test_a_question_keeps_its_key_and_money_stays_spent(tmp_path):
    asks = {"ask": MAY_I, "then": {"yes": [{"say": "first"}]}}
    other = {"ask": {"permission": {**MAY_I["permission"], "details": "ls"}}, "then": {"yes": [{"say": "second"}]}}
    house = House(tmp_path).agent("worker", {"use": {"cost": 0.05, "input_tokens": 7}}, asks, other)
    config = house.config()
    async with desk(house, config) as (gateway, client):
        run = await client.begin("worker")
        assert (await client.status(run, 5))["question"]["id"] == "q1"
        await client.shown("run_answer", run=run, option="yes")
        await until_question(client, run, "q2")
        await gateway.kill()
    async with desk(house, config) as (gateway, client):
        question = await until_question(client, run, "q2")
        assert "ls" in question["message"]
        assert "q1" in await client.refused("run_answer", run=run, question="q1", option="yes")
        await client.shown("run_answer", run=run, question="q2", option="yes")
        shown = await client.ended(run)
        assert (shown["status"], shown["text"]) == ("completed", "second")
        assert (shown["cost"], shown["usage"]["inputTokens"]) == ({"usd": 0.05, "source": "reported"}, 7)
        assert set(last_words(gateway, run)) == {"question.answered"}, "no question is open for ever"


async def until_question(client, run, key):
    async with asyncio.timeout(10):
        while (shown := await client.status(run, 1)).get("question", {}).get("id") != key:
            assert shown["status"] in {"working", "input_required"}, shown
            await asyncio.sleep(0.02)
    return shown["question"]


async def test_a_budget_that_was_spent_before_the_kill_is_spent_after_it(tmp_path):
    house = House(tmp_path).agent(
        "spender", {"use": {"cost": 0.08}}, {"wait": {"until": "go"}}, {"use": {"cost": 0.03}}, {"say": "rich"}
    )
    config = house.config()
    async with desk(house, config) as (gateway, client):
        run = await client.begin("spender", budget={"usd": 0.1})
        await until_kept(gateway, run, 80_000)
        await gateway.kill()
    async with desk(house, config) as (gateway, client):
        house.go("go")
        shown = await client.ended(run)
        assert (shown["status"], shown["error"]["kind"]) == ("limit", "budget")
        assert shown["cost"]["usd"] == 0.11


async def until_kept(gateway, run, cost):
    def kept():
        with gateway.journal() as journal:
            return (journal.delegation(run).usage.cost or 0) >= cost

    await until(kept)


async def test_what_an_agent_delegated_ends_with_its_run_also_after_a_kill(tmp_path):
    call = {"tool": "delegate", "arguments": {"agent": "hand", "task": "help", "wait": 60}}
    house = House(tmp_path).agent("boss", {"call": call}, {"say": "{{result}}"})
    house.agent("hand", {"say": "at it"}, {"ask": MAY_I, "then": {"yes": [{"say": "helped"}]}})
    config = house.config()
    async with desk(house, config) as (gateway, client):
        run = await client.begin("boss")
        await until_question(client, run, "q1")
        await gateway.kill()
    async with desk(house, config) as (gateway, client):
        await until_question(client, run, "q1")  # of the child that is resumed
        with gateway.journal() as journal:
            children = [
                event.run for event in journal.events(["delegation.accepted"], 10) if event.data["parent"] == run
            ]
        await client.tool("run_cancel", run=run)
        assert (await client.status(run))["status"] == "cancelled"
        await until(lambda: all(kinds(gateway, child)["delegation.ended"] for child in children))
        await gateway.kill()
    async with desk(house, config) as (gateway, client):
        for one in (run, *children):
            assert kinds(gateway, one)["delegation.ended"] == 1


@pytest.mark.parametrize("word", ["new", "old"])
async def test_changes_are_applied_whole_or_not_at_all(tmp_path, word):
    house = House(tmp_path)
    many = 40
    for number in range(many):
        (house.repo / f"f{number:03}.txt").write_text("before\n")
    edits = [{"write": {"path": f"f{number:03}.txt", "text": "after\n"}} for number in range(many)]
    house.agent("editor", *edits, {"delete": "a.txt"}, {"write": {"path": "deep/er/new.txt", "text": "after\n"}})
    config = house.config()

    def there():
        names = {path: path.read_text() for path in house.repo.rglob("*.txt")}
        return {str(path.relative_to(house.repo)): text for path, text in names.items()}

    before = there()
    async with desk(house, config) as (gateway, client):
        run = await client.begin("editor", mode="write", workspace=str(house.repo))
        await client.ended(run)
        applying = asyncio.ensure_future(client.tool("run_apply", run=run))
        async with asyncio.timeout(20):
            while len(list(house.repo.glob(f".f*.{run}.{word}"))) < many // 2 and not applying.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
        await gateway.kill()
        with contextlib.suppress(httpx2.HTTPError):
            await applying
    async with desk(house, config) as (gateway, client):
        assert there() in (
            before,
            {name: "after\n" for name in before if name != "a.txt"} | {"deep/er/new.txt": "after\n"},
        )
        assert not list(house.repo.glob(".*.txt.*")), "nothing is left beside"
        await client.tool("run_apply", run=run)
        assert set(there().values()) == {"after\n"}
        assert git(house.repo, "status", "--porcelain", "--untracked-files=all").count(".txt.") == 0


async def test_a_living_gateway_keeps_its_runs_and_acts_on_no_others(tmp_path):
    house = House(tmp_path).agent("slow", {"ask": MAY_I}, {"wait": {"until": "go"}}, {"say": "went"})
    config = house.config()
    async with desk(house, config) as (first, one):
        run = await one.begin("slow")
        await until_question(one, run, "q1")
        async with desk(house, config) as (_second, two):
            assert (await two.status(run))["status"] == "working"
            for tool in ("run_cancel", "run_answer"):
                assert "another gateway" in await two.refused(tool, run=run)
            assert kinds(first, run)["delegation.started"] == 1
        await one.shown("run_answer", run=run, option="yes")
        house.go("go")
        assert (await one.ended(run))["text"] == "went"


async def test_killed_at_any_moment_each_run_is_begun_once_and_ends_once(tmp_path):
    """Twenty kills at moments of a seed; two runs are begun before each, and whatever asks is answered."""
    chance = random.Random(4)  # noqa: S311 - the same moments in every run
    house = House(tmp_path).agent(
        "worker",
        {"use": {"cost": 0.01}},
        {"ask": MAY_I, "then": {"yes": [{"write": {"path": "n.txt", "text": "x"}}]}},
        {"pause": 0.03},
        {"say": "done"},
        maxRuns=3,
    )
    config = house.config()
    runs = []

    async def work(client):
        with contextlib.suppress(httpx2.HTTPError, AssertionError):
            for mode in ("read", "write"):
                runs.append(await client.begin("worker", mode=mode, workspace=str(house.repo)))  # noqa: PERF401
            await answer_all(client)

    async def answer_all(client):
        while True:
            listed = (await client.shown("run_list", open=True, limit=200))["runs"]
            for one in listed:
                if one["status"] == "input_required":
                    question = (await client.status(one["run"])).get("question", {})
                    option = "start_again" if "start_again" in question.get("options", ()) else "yes"
                    await client.client.call("run_answer", {"run": one["run"], "option": option})
            if not listed:
                return
            await asyncio.sleep(0.02)

    with anyio.fail_after(100):
        for _ in range(20):
            async with desk(house, config) as (gateway, client):
                working = asyncio.ensure_future(work(client))
                await asyncio.wait({working}, timeout=chance.uniform(0.01, 0.4))
                await gateway.kill()
                await working
        async with desk(house, config) as (gateway, client):
            await answer_all(client)
            await until(lambda: all_closed(gateway))
    with JournalReader(gateway.state) as journal:
        accepted = {event.run for event in journal.events(["delegation.accepted"], 1000)}
        assert accepted >= set(runs)
        assert len(accepted) > 20
        for run in accepted:
            counted = kinds(gateway, run)
            asked_to = sum(one.data.get("decision") == "start_again" for one in journal.run(run))
            assert (counted["delegation.accepted"], counted["delegation.ended"]) == (1, 1), run
            assert fresh_starts(gateway, run) <= 1 + asked_to
            assert set(last_words(gateway, run)) <= {"question.answered"}, "no question is open for ever"
            kept = journal.delegation(run)
            assert kept.ended.status.value in {"completed", "unknown"}, kept.ended.message
            spoken = len(agent_events(gateway, run, "usage"))
            assert not spoken or (kept.ended.usage.cost or 0) >= 10_000
    left = git(house.repo, "worktree", "list", "--porcelain").count("worktree ")
    kept_trees = len([path for path in (tmp_path / "ws").iterdir() if (path / "tree").is_dir()])
    assert left == 1 + kept_trees, "no worktree is registered that is not there"
