"""Workspaces with real git: what the agent finds, what it changed, and nothing of the caller's touched meanwhile."""

import os
import subprocess
from pathlib import Path

import pytest

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.workspaces import applying
from mcp_orchestrator.workspaces.git import Git, GitError, environment
from mcp_orchestrator.workspaces.worktrees import Worktrees

pytestmark = pytest.mark.anyio

WRITE, READ = AgentMode.WRITE, AgentMode.READ


def run(where, *arguments):
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{one}_{part}": "t@t" for one in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=where, env={**own, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}, check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout.decode()


@pytest.fixture
def repository(tmp_path):
    top = tmp_path / "repository"
    (top / "sub").mkdir(parents=True)
    (top / "a.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    (top / "sub" / "b.txt").write_text("b\n")
    (top / ".gitignore").write_text("secret.env\n")
    run(top, "init", "-q", "-b", "main")
    run(top, "add", "-A")
    run(top, "commit", "-qm", "first")
    return top


@pytest.fixture
def worktrees(tmp_path):
    return Worktrees(tmp_path / "places")


def state(top):
    """Everything of a repository that is the caller's own: status, index, branches, stashes, HEAD."""
    names = ("status", "--porcelain=v2"), ("ls-files", "-s"), ("branch", "-a", "-v"), ("stash", "list"), ("log", "-1")
    return [run(top, *name) for name in names]


async def test_the_agent_finds_the_tree_as_it_is_with_what_is_not_committed(repository, worktrees):
    (repository / "a.txt").write_text("changed\n")
    (repository / "new.txt").write_text("new\n")
    (repository / "staged.txt").write_text("staged\n")
    run(repository, "add", "staged.txt")
    (repository / "sub" / "b.txt").unlink()
    (repository / "secret.env").write_text("KEY=1\n")
    before = state(repository)
    workspace = await worktrees.prepare("r1", repository, WRITE)
    place = Path(workspace.path)
    assert (place / "a.txt").read_text() == "changed\n"
    assert (place / "new.txt").read_text() == "new\n"
    assert (place / "staged.txt").exists()
    assert not (place / "sub" / "b.txt").exists()
    assert not (place / "secret.env").exists(), "what git ignores stays with the caller"
    assert state(repository) == before
    assert (await worktrees.changes(workspace)).files == ()


async def test_a_directory_inside_of_a_repository_is_the_agents_directory(repository, worktrees):
    workspace = await worktrees.prepare("r1", repository / "sub", WRITE)
    assert Path(workspace.path).name == "sub"
    assert (Path(workspace.path) / "b.txt").exists()
    assert workspace.repository == str(repository)


async def test_changes_are_told_with_kinds_numbers_and_a_diff(repository, worktrees):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    place = Path(workspace.path)
    (place / "a.txt").write_text("one\n2\nthree\nfour\nfive\n")
    (place / "sub" / "b.txt").rename(place / "c.txt")
    (place / "image.bin").write_bytes(b"\0\1\2")
    (place / "with space\nand line.txt").write_text("x\n")
    run(place, "add", "a.txt")
    run(place, "commit", "-qm", "the agent commits")
    changes = await worktrees.changes(workspace)
    found = {one.path: one for one in changes.files}
    assert found["a.txt"].change == "update"
    assert (found["a.txt"].added, found["a.txt"].removed) == (1, 1), "what the agent committed is part of it"
    assert (found["c.txt"].change, found["c.txt"].before) == ("move", "sub/b.txt")
    assert found["image.bin"].binary
    assert found["with space\nand line.txt"].change == "add"
    assert "-two\n+2\n" in changes.diff
    assert not changes.truncated


async def test_apply_brings_everything_over_and_is_the_same_twice(repository, worktrees):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    place = Path(workspace.path)
    (place / "a.txt").write_text("all new\n")
    (place / "deep" / "er").mkdir(parents=True)
    (place / "deep" / "er" / "tool.sh").write_text("#!/bin/sh\n")
    (place / "deep" / "er" / "tool.sh").chmod(0o755)
    (place / "link").symlink_to("a.txt")
    (place / "sub" / "b.txt").unlink()
    branches = run(repository, "branch", "-a"), run(repository, "ls-files", "-s"), run(repository, "rev-parse", "HEAD")
    applied = await worktrees.apply(workspace)
    assert not applied.conflicts
    assert set(applied.files) == {"a.txt", "deep/er/tool.sh", "link", "sub/b.txt"}
    assert (repository / "a.txt").read_text() == "all new\n"
    assert os.access(repository / "deep" / "er" / "tool.sh", os.X_OK)
    assert (repository / "link").readlink() == Path("a.txt")
    assert not (repository / "sub").exists()
    after = run(repository, "branch", "-a"), run(repository, "ls-files", "-s"), run(repository, "rev-parse", "HEAD")
    assert after == branches, "index, branches and HEAD are the caller's"
    assert not list(repository.rglob(".*.r1.*"))
    assert (await worktrees.apply(workspace)).files == ()


async def test_changes_of_both_that_do_not_touch_are_merged(repository, worktrees):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    (Path(workspace.path) / "a.txt").write_text("one\ntwo\nthree\nfour\nFIVE\n")
    (repository / "a.txt").write_text("ONE\ntwo\nthree\nfour\nfive\n")
    applied = await worktrees.apply(workspace)
    assert (applied.files, dict(applied.conflicts)) == (("a.txt",), {})
    assert (repository / "a.txt").read_text() == "ONE\ntwo\nthree\nfour\nFIVE\n"


async def test_a_conflict_is_named_and_nothing_at_all_is_written(repository, worktrees):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    place = Path(workspace.path)
    (place / "a.txt").write_text("agent\n")
    (place / "sub" / "b.txt").write_text("agent\n")
    (place / "new.txt").write_text("agent\n")
    (place / "fine.txt").write_text("agent\n")
    (repository / "a.txt").write_text("caller\n")
    (repository / "sub" / "b.txt").unlink()
    (repository / "new.txt").write_text("caller\n")
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts}
    applied = await worktrees.apply(workspace)
    assert applied.files == ()
    assert set(applied.conflicts) == {"a.txt", "sub/b.txt", "new.txt"}
    after = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before


async def test_what_lies_behind_a_link_of_the_caller_is_not_written(repository, worktrees, tmp_path):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    (Path(workspace.path) / "sub" / "evil.txt").write_text("agent\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / "sub" / "b.txt").unlink()
    (repository / "sub").rmdir()
    (repository / "sub").symlink_to(outside)
    applied = await worktrees.apply(workspace)
    assert "sub/evil.txt" in applied.conflicts
    assert list(outside.iterdir()) == []


async def test_a_directory_that_cannot_be_written_changes_nothing(repository, worktrees, monkeypatch):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    (Path(workspace.path) / "a.txt").write_text("agent\n")
    (Path(workspace.path) / "z.txt").write_text("agent\n")
    real = os.replace

    def failing(source, target):
        if str(target).endswith("z.txt"):
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(applying.os, "replace", failing)
    applied = await worktrees.apply(workspace)
    monkeypatch.undo()
    assert "No space left" in applied.conflicts["z.txt"]
    assert (repository / "a.txt").read_text().startswith("one\n")
    assert run(repository, "status", "--porcelain") == ""


async def test_hooks_of_the_repository_are_not_run(repository, worktrees, tmp_path):
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change"):
        path = repository / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{hook}\n")
        path.chmod(0o755)
    workspace = await worktrees.prepare("r1", repository, WRITE)
    (Path(workspace.path) / "a.txt").write_text("agent\n")
    await worktrees.apply(workspace)
    await worktrees.discard(workspace)
    assert not list(tmp_path.glob("ran-*"))


async def test_discard_leaves_nothing_and_may_be_repeated(repository, worktrees, tmp_path):
    workspace = await worktrees.prepare("r1", repository, WRITE)
    (Path(workspace.path) / "locked").mkdir(mode=0o500)
    await worktrees.discard(workspace)
    await worktrees.discard(workspace)
    assert list((tmp_path / "places").iterdir()) == []
    assert run(repository, "worktree", "list").count("\n") == 1
    assert run(repository, "for-each-ref", "refs/mcp-orchestrator") == ""
    with pytest.raises(ValueError, match="no longer there"):
        await worktrees.changes(workspace)


async def test_old_workspaces_that_nobody_needs_are_swept(repository, worktrees, tmp_path):
    async def ended(run):
        return run != "r3"

    for run_id, mode, given in (("r1", WRITE, repository), ("r2", READ, None), ("r3", WRITE, repository)):
        await worktrees.prepare(run_id, given, mode)
    assert await worktrees.sweep(0.0, ended) == 0
    assert await worktrees.sweep(1e12, ended) == 2
    assert [path.name for path in (tmp_path / "places").iterdir()] == ["r3"]


async def test_a_repository_without_a_commit_can_be_worked_in(tmp_path, worktrees):
    top = tmp_path / "fresh"
    top.mkdir()
    run(top, "init", "-q")
    (top / "draft.txt").write_text("draft\n")
    workspace = await worktrees.prepare("r1", top, WRITE)
    (Path(workspace.path) / "draft.txt").write_text("better\n")
    assert (await worktrees.apply(workspace)).files == ("draft.txt",)
    assert (top / "draft.txt").read_text() == "better\n"


async def test_outside_of_git_only_reading_is_possible_and_on_a_copy(tmp_path, worktrees):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.txt").write_text("a\n")
    with pytest.raises(ValueError, match="in no git repository"):
        await worktrees.prepare("r1", plain, WRITE)
    workspace = await worktrees.prepare("r2", plain, READ)
    (Path(workspace.path) / "a.txt").write_text("agent\n")
    assert (plain / "a.txt").read_text() == "a\n"
    assert not (tmp_path / "places" / "r1").exists()


async def test_a_bare_repository_has_no_files_to_work_on(tmp_path, worktrees):
    run(tmp_path, "init", "-q", "--bare", "bare")
    with pytest.raises(ValueError, match="bare repository"):
        await worktrees.prepare("r1", tmp_path / "bare", WRITE)


async def test_line_ends_of_the_working_tree_are_kept(tmp_path, worktrees):
    top = tmp_path / "crlf"
    top.mkdir()
    run(top, "init", "-q")
    (top / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (top / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    run(top, "add", "-A")
    run(top, "commit", "-qm", "first")
    workspace = await worktrees.prepare("r1", top, WRITE)
    (Path(workspace.path) / "a.txt").write_bytes(b"one\r\n2\r\n")
    assert (await worktrees.apply(workspace)).files == ("a.txt",)
    assert (top / "a.txt").read_bytes() == b"one\r\n2\r\n"


async def test_a_submodule_is_left_to_people(repository, worktrees, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "-q")
    run(other, "commit", "-q", "--allow-empty", "-m", "first")
    run(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "module")
    run(repository, "commit", "-qm", "with a module")
    workspace = await worktrees.prepare("r1", repository, WRITE)
    run(Path(workspace.path), "rm", "-q", "--cached", "module")
    (Path(workspace.path) / "module").rmdir()
    assert "submodule" in (await worktrees.apply(workspace)).conflicts["module"]


async def test_git_tells_what_is_wrong_and_sees_nothing_of_ours(tmp_path):
    with pytest.raises(GitError, match="rev-parse failed"):
        await Git(tmp_path)("rev-parse", "HEAD")
    with pytest.raises(GitError, match="there is no directory"):
        await Git(tmp_path / "nowhere")("status")
    assert "GIT_DIR" not in environment({"GIT_DIR": "/x", "PATH": "/bin"}, {})
