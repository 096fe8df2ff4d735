"""Workspaces of delegations through the tools: any tree, any moment; and runs beside each other within their limits."""

import asyncio
import contextlib
import shutil

import pytest
from delegation_kit import Desk, House, agent_events, git, kinds
from gateway_kit import modern, serving, until

pytestmark = pytest.mark.anyio

EDIT = {"write": {"path": "a.txt", "text": "one\nTWO\nthree\n"}}


@pytest.fixture
def house(tmp_path):
    return House(tmp_path).agent("editor", EDIT, {"write": {"path": "new.txt", "text": "n\n"}}, {"say": "edited"})


@contextlib.asynccontextmanager
async def open_desk(house, **sections):
    async with serving(house.directory, config=house.config(**sections)) as gateway, modern(gateway.url) as client:
        yield gateway, Desk(client)


async def edited(desk, workspace, **arguments):
    run = await desk.begin("editor", mode="write", workspace=str(workspace), **arguments)
    return run, await desk.ended(run)


async def test_trees_of_all_sorts_are_worked_in_or_refused_with_the_reason(house, tmp_path):
    (house.repo / "a.txt").write_text("zero\none\ntwo\nthree\n")
    (house.repo / "untracked.txt").write_text("u\n")
    (house.repo / "sub").mkdir()
    (house.repo / "sub" / "s.txt").write_text("s\n")
    (tmp_path / "plain").mkdir()
    (tmp_path / "link").symlink_to(house.repo)
    (tmp_path / "out").symlink_to("/usr")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    async with open_desk(house) as (_gateway, desk):
        _, shown = await edited(desk, house.repo)
        assert [one["path"] for one in shown["changes"]["files"]] == ["a.txt", "new.txt"], "what was dirty is its base"
        _, shown = await edited(desk, tmp_path / "link")
        assert shown["status"] == "completed"
        run, shown = await edited(desk, house.repo / "sub")
        assert [one["path"] for one in shown["changes"]["files"]] == ["sub/a.txt", "sub/new.txt"]
        assert (await desk.shown("run_apply", run=run))["applied"] == ["sub/a.txt", "sub/new.txt"]
        _, shown = await edited(desk, empty)
        assert shown["status"] == "completed"
        _, shown = await edited(desk, tmp_path / "plain")
        assert (shown["status"], shown["error"]["kind"]) == ("failed", "invalid")
        assert "git init" in shown["error"]["message"]
        wrong = {
            str(tmp_path / "none"): "no directory", "repo": "not absolute", "/usr": "outside", str(tmp_path / "out"): "outside",
            str(house.repo / "a.txt"): "no directory", str(house.repo / ".." / ".."): "outside", "/x" * 3000: "is no path",
            "/a\0b": "is no path",
        }  # fmt: skip
        for workspace, why in wrong.items():
            refused = await desk.refused("delegate", task="x", agent="editor", mode="write", workspace=workspace)
            assert why in refused, (workspace, refused)
        assert "needs a workspace" in await desk.refused("delegate", task="x", agent="editor", mode="write")


async def test_changes_are_applied_once_or_the_conflicts_named_and_never_before_the_end(house):
    house.agent("slow", EDIT, {"wait": {"until": "go"}}, {"say": "ok"})
    async with open_desk(house) as (_gateway, desk):
        run, _ = await edited(desk, house.repo)
        other, _ = await edited(desk, house.repo)
        assert (await desk.shown("run_apply", run=run))["applied"] == ["a.txt", "new.txt"]
        assert (await desk.shown("run_apply", run=run))["applied"] == []
        (house.repo / "a.txt").write_text("one\nzwei\nthree\n")
        (house.repo / "new.txt").unlink()
        result = await desk.tool("run_apply", run=other)
        assert result["isError"]
        assert list(result["structuredContent"]["conflicts"]) == ["a.txt"]
        assert not (house.repo / "new.txt").exists(), "all or nothing"
        git(house.repo, "checkout", "-q", "a.txt")
        slow = await desk.begin("slow", mode="write", workspace=str(house.repo))
        assert "has not ended yet" in await desk.refused("run_apply", run=slow)
        house.go("go")
        await desk.ended(slow)
        shutil.rmtree(house.directory / "ws" / slow)
        assert "no longer there" in await desk.refused("run_apply", run=slow)
        assert "no longer there" in await desk.refused("run_changes", run=slow)


async def test_a_caller_who_edits_meanwhile_loses_nothing(house):
    async with open_desk(house) as (_gateway, desk):
        for number in range(8):
            git(house.repo, "checkout", "-q", "--", ".")
            run, _ = await edited(desk, house.repo)
            applying = asyncio.ensure_future(desk.tool("run_apply", run=run))
            await asyncio.wait({applying}, timeout=number * 0.01)
            mine = f"mine {number}\n" * 50
            (house.repo / "b.txt").write_text(mine)
            with (house.repo / "a.txt").open("a") as file:
                file.write(mine)
            await applying
            text = (house.repo / "a.txt").read_text()
            if not text.endswith(
                mine
            ):  # our editor had the file open that was replaced: what it wrote is in no version
                assert "TWO" in text
            assert (house.repo / "b.txt").read_text() == mine


async def test_what_is_written_in_a_run_that_may_only_read_is_thrown_away_and_said(house):
    house.shell("rude")
    async with open_desk(house) as (gateway, desk):
        run = await desk.begin("rude", "echo changed > a.txt", workspace=str(house.repo))
        shown = await desk.ended(run)
        assert any("thrown away" in one and "a.txt" in one for one in shown.get("warnings", ())), shown
        assert (house.repo / "a.txt").read_text() == "one\ntwo\nthree\n"
        await until(lambda: not (house.directory / "ws" / run).exists())
        assert "keeps no changes" in await desk.refused("run_apply", run=run)
        editor = await desk.begin("editor", workspace=str(house.repo))
        await desk.ended(editor)
        assert len(agent_events(gateway, editor, "warning")) >= 2, "the refusals are told"


async def test_runs_in_one_repository_do_not_see_each_other(house):
    for name in "xyz":
        house.agent(
            name,
            {"write": {"path": f"{name}.txt", "text": name}},
            {"write": {"path": "n", "text": name}},
            {"say": name},
        )
    async with open_desk(house) as (_gateway, desk):
        runs = [await desk.begin(name, mode="write", workspace=str(house.repo)) for name in "xyz"]
        for name, run in zip("xyz", runs, strict=True):
            assert [one["path"] for one in (await desk.ended(run))["changes"]["files"]] == ["n", f"{name}.txt"]
        results = await asyncio.gather(*(desk.tool("run_apply", run=run) for run in runs))
        assert [result.get("isError", False) for result in results].count(False) == 1, "the others would overwrite n"
        assert len(list(house.repo.glob("?.txt"))) == 2


async def test_at_most_so_many_work_and_the_first_come_go_first(house):
    house.agent("slow", {"wait": {"until": "go"}}, {"say": "went"}, maxRuns=2)
    async with open_desk(house, delegation={"maxRuns": 3}) as (gateway, desk):
        runs = [await desk.begin("slow") for _ in range(5)]
        await until(lambda: kinds(gateway, runs[1])["delegation.started"])
        states = [(await desk.status(run))["status"] for run in runs]
        assert states == ["working", "working", "queued", "queued", "queued"]
        quick = await desk.begin("editor", workspace=str(house.repo))
        assert (await desk.ended(quick))["status"] == "completed", "another agent is not kept waiting"
        house.go("go")
        for run in runs:
            await desk.ended(run)
        with gateway.journal() as journal:
            started = [event.run for event in reversed(journal.events(["delegation.started"], 100))]
        assert [run for run in started if run != quick] == runs


async def test_what_an_agent_hands_on_is_paid_by_it(house):
    hand = {"tool": "delegate", "arguments": {"agent": "hand", "task": "h", "budget": {"usd": 5}, "wait": 20}}
    house.agent("boss", {"call": hand}, {"call": hand}, {"call": hand}, {"say": "{{result}}"})
    house.agent("hand", {"use": {"cost": 0.06}}, {"pause": 0.1}, {"say": "helped"})
    async with open_desk(house) as (gateway, desk):
        run = await desk.begin("boss", budget={"usd": 0.1})
        shown = await desk.ended(run)
        assert (shown["status"], shown["error"]["kind"]) == ("limit", "budget"), shown
        with gateway.journal() as journal:
            children = [one for one in journal.events(["delegation.accepted"], 10) if one.data["parent"] == run]
            limits = [journal.delegation(one.run).limits["cost"] for one in reversed(children)]
        assert limits == [100_000, 40_000], "each had what was left, and the third was not begun"


async def test_limits_end_a_run_and_say_which(house):
    house.agent("slow", {"wait": {"until": "never"}}).agent(
        "nested",
        {"call": {"tool": "delegate", "arguments": {"task": "x", "agent": "nested", "wait": 20}}},
        {"say": "{{result}}"},
    )
    async with open_desk(house, delegation={"depth": 2}) as (_gateway, desk):
        shown = await desk.ended(await desk.begin("slow", budget={"minutes": 0.005}))
        assert (shown["status"], shown["error"]["kind"]) == ("limit", "timeout")
        shown = await desk.ended(await desk.begin("nested"))
        assert "2 deep (delegation.depth)" in shown["text"]


async def test_old_ends_are_told_after_a_restart_with_their_changes(house):
    config = house.config()
    async with serving(house.directory, config=config) as gateway, modern(gateway.url) as client:
        run, _ = await edited(Desk(client), house.repo)
    async with serving(house.directory, config=config) as gateway, modern(gateway.url) as client:
        desk = Desk(client)
        shown = await desk.status(run)
        assert (shown["status"], len(shown["changes"]["files"])) == ("completed", 2)
        assert (await desk.shown("run_apply", run=run))["applied"] == ["a.txt", "new.txt"]
