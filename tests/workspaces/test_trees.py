"""The tree of a directory with real git: everything that can lie in one."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.workspaces import trees
from mcp_orchestrator.workspaces.git import Git, GitError
from mcp_orchestrator.workspaces.trees import copy_index, tree_of
from mcp_orchestrator.workspaces.worktrees import Worktrees

pytestmark = pytest.mark.anyio

WRITE = AgentMode.WRITE


def run(where, *arguments):
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{one}_{part}": "t@t" for one in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    env = {**own, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", *arguments], cwd=where, env=env, check=True, capture_output=True).stdout


@pytest.fixture
def top(tmp_path):
    """A repository with one commit."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a.txt").write_text("a\n")
    (top / "d").mkdir()
    (top / "d" / "b.txt").write_text("b\n")
    (top / ".gitignore").write_text("*.log\nout/\n")
    run(top, "init", "-q", "-b", "main")
    run(top, "add", "-A")
    run(top, "commit", "-qm", "first")
    return top


@pytest.fixture
def worktrees(tmp_path):
    return Worktrees(tmp_path / "places")


async def listed(top, tmp_path, *, nested=False, also=()):
    """Names and modes of the tree of a directory."""
    index = tmp_path / "own-index"
    copy_index(top / ".git" / "index", index)
    before = (top / ".git" / "index").read_bytes()
    tree = await tree_of(Git(top), top, index, nested=nested, also=also)
    assert (top / ".git" / "index").read_bytes() == before
    lines = run(top, "ls-tree", "-r", "-z", tree).split(b"\0")
    return {line.split(b"\t", 1)[1]: line.split(b" ")[0].decode() for line in lines if line}


async def test_every_kind_of_file_and_every_name_is_taken_along(top, tmp_path):
    names = [b"with space", b"with\nline", b"caf\xc3\xa9", b"no utf-8 \xff", b'quo"te', b"-dash", b"tab\t"]
    for name in names:
        (top / os.fsdecode(name)).write_bytes(b"\0\1")
    (top / "tool").write_text("x")
    (top / "tool").chmod(0o755)
    (top / "link").symlink_to("nowhere")
    (top / "to-directory").symlink_to("d")
    found = await listed(top, tmp_path)
    assert set(names) <= set(found)
    assert (found[b"tool"], found[b"link"], found[b"to-directory"]) == ("100755", "120000", "120000")


async def test_files_and_directories_may_have_changed_places(top, tmp_path):
    (top / "a.txt").unlink()
    (top / "a.txt").mkdir()
    (top / "a.txt" / "inner").write_text("x")
    (top / "d" / "b.txt").unlink()
    (top / "d").rmdir()
    (top / "d").write_text("a file now")
    assert set(await listed(top, tmp_path)) == {b".gitignore", b"a.txt/inner", b"d"}


async def test_a_directory_that_became_a_link_is_a_link(top, tmp_path):
    (top / "d").rename(tmp_path / "elsewhere")
    (top / "d").symlink_to(tmp_path / "elsewhere")
    found = await listed(top, tmp_path)
    assert found[b"d"] == "120000"
    assert b"d/b.txt" not in found


async def test_what_is_ignored_and_what_is_no_file_stays_away(top, tmp_path, monkeypatch):
    (top / "x.log").write_text("x")
    (top / "out").mkdir()
    (top / "out" / "y").write_text("y")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        monkeypatch.chdir(top)
        made.bind("socket")
    assert set(await listed(top, tmp_path)) == {b".gitignore", b"a.txt", b"d/b.txt"}
    assert b"x.log" in await listed(top, tmp_path, also=[b"x.log", b"gone.log"])


async def test_repositories_inside_are_left_out_or_taken_like_directories(top, tmp_path):
    for name in ("inner", "empty"):
        (top / name).mkdir()
        run(top / name, "init", "-q")
    (top / "inner" / "c.txt").write_text("c")
    (top / "inner" / "to").symlink_to("..")
    run(top / "inner", "add", "-A")
    run(top / "inner", "commit", "-qm", "first")
    assert set(await listed(top, tmp_path)) == {b".gitignore", b"a.txt", b"d/b.txt"}
    with_them = await listed(top, tmp_path, nested=True)
    assert with_them[b"inner/c.txt"] == "100644"
    assert with_them[b"inner/to"] == "120000"
    assert not any(b".git/" in name for name in with_them)


async def test_an_unfinished_merge_is_taken_as_it_lies_there(top, tmp_path):
    run(top, "checkout", "-qb", "other")
    (top / "a.txt").write_text("other\n")
    run(top, "commit", "-qam", "other")
    run(top, "checkout", "-q", "main")
    (top / "a.txt").write_text("main\n")
    run(top, "commit", "-qam", "main")
    with pytest.raises(subprocess.CalledProcessError):
        run(top, "merge", "-q", "other")
    assert (await listed(top, tmp_path))[b"a.txt"] == "100644"
    assert b"UU a.txt" in run(top, "status", "--porcelain")


async def test_a_change_of_the_same_size_in_the_same_moment_is_seen(top, tmp_path):
    looked = (top / "a.txt").stat()
    (top / "a.txt").write_text("A\n")
    index = top / ".git" / "index"
    os.utime(top / "a.txt", ns=(looked.st_atime_ns, looked.st_mtime_ns))
    os.utime(index, ns=(looked.st_mtime_ns, looked.st_mtime_ns))
    before = await Git(top).text("rev-parse", "HEAD^{tree}")
    copy_index(index, tmp_path / "own-index")
    assert await tree_of(Git(top), top, tmp_path / "own-index", nested=False) != before


async def test_a_file_that_cannot_be_read_and_too_much_of_it_are_told(top, tmp_path, monkeypatch):
    (top / "large").write_text("x" * 100)
    monkeypatch.setattr(trees, "MOST_NEW_BYTES", 10)
    with pytest.raises(GitError, match="name it in"):
        await listed(top, tmp_path)


# -- what it means for workspaces -------------------------------------------------------------------------------------


async def test_programs_that_a_repository_names_are_not_started(top, worktrees, tmp_path):
    mark = tmp_path / "ran"
    run(top, "config", "filter.evil.clean", f"touch {mark}; cat")
    run(top, "config", "filter.evil.smudge", f"touch {mark}; cat")
    run(top, "config", "filter.evil.required", "true")
    run(top, "config", "core.fsmonitor", f"touch {mark}")
    run(top, "config", "diff.evil.textconv", f"touch {mark}; cat")
    run(top, "config", "diff.external", f"touch {mark}")
    (top / ".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    workspace = await worktrees.prepare("r1", top, WRITE)
    (Path(workspace.path) / "a.txt").write_text("agent\n")
    assert "agent" in (await worktrees.changes(workspace)).diff
    assert (await worktrees.apply(workspace)).files == ("a.txt",)
    assert (top / "a.txt").read_text() == "agent\n"
    assert not mark.exists()


async def test_an_agent_that_breaks_its_worktree_breaks_nothing_else(top, worktrees, tmp_path):
    run(tmp_path, "init", "-q")  # a repository around all of it, into which git would stray
    workspace = await worktrees.prepare("r1", top, WRITE)
    place = Path(workspace.path)
    (place / ".git").unlink()
    (place / "a.txt").write_text("agent\n")
    assert [one.path for one in (await worktrees.changes(workspace)).files] == ["a.txt"]
    assert (await worktrees.apply(workspace)).files == ("a.txt",)
    assert run(tmp_path, "ls-files") == b""


async def test_what_the_agent_committed_counts_also_where_it_is_ignored(top, worktrees):
    workspace = await worktrees.prepare("r1", top, WRITE)
    place = Path(workspace.path)
    (place / "kept.log").write_text("x")
    (place / "noise.log").write_text("x")
    run(place, "add", "-f", "kept.log")
    run(place, "commit", "-qm", "of the agent")
    assert [one.path for one in (await worktrees.changes(workspace)).files] == ["kept.log"]


async def test_a_repository_that_the_agent_makes_is_taken_like_a_directory(top, worktrees):
    workspace = await worktrees.prepare("r1", top, WRITE)
    new = Path(workspace.path) / "new"
    new.mkdir()
    run(new, "init", "-q")
    (new / "c.txt").write_text("c")
    assert (await worktrees.apply(workspace)).files == ("new/c.txt",)
    assert not (top / "new" / ".git").exists()


async def test_names_that_are_no_utf_8_are_told_and_applied(top, worktrees):
    workspace = await worktrees.prepare("r1", top, WRITE)
    name = os.fsdecode(b"bad \xff")
    (Path(workspace.path) / name).write_text("x")
    (one,) = (await worktrees.changes(workspace)).files
    assert one.path == "bad \\xff"
    assert (await worktrees.apply(workspace)).files == ("bad \\xff",)
    assert (top / name).read_text() == "x"


async def test_nothing_is_written_outside_of_the_directory_that_was_named(top, worktrees):
    workspace = await worktrees.prepare("r1", top / "d", WRITE)
    (Path(workspace.path) / "b.txt").write_text("agent\n")
    assert (await worktrees.apply(workspace)).files == ("d/b.txt",)
    (Path(workspace.path).parent / "a.txt").write_text("agent\n")
    assert "was named as the workspace" in (await worktrees.apply(workspace)).conflicts["a.txt"]


async def test_the_callers_mode_of_a_file_stays_unless_the_agent_changed_it(top, worktrees):
    workspace = await worktrees.prepare("r1", top, WRITE)
    place = Path(workspace.path)
    (top / "a.txt").chmod(0o755)
    (place / "a.txt").write_text("agent\n")
    (place / "d" / "b.txt").chmod(0o755)
    (top / "d" / "b.txt").write_text("caller\n")
    assert set((await worktrees.apply(workspace)).files) == {"a.txt", "d/b.txt"}
    assert os.access(top / "a.txt", os.X_OK)
    assert os.access(top / "d" / "b.txt", os.X_OK)
    assert (top / "d" / "b.txt").read_text() == "caller\n"


async def test_long_names_that_begin_alike_are_kept_apart(top, worktrees):
    workspace = await worktrees.prepare("r1", top, WRITE)
    for end in ("1", "2"):
        (Path(workspace.path) / ("n" * 254 + end)).write_text(end)
    await worktrees.apply(workspace)
    assert [(top / ("n" * 254 + end)).read_text() for end in ("1", "2")] == ["1", "2"]


async def test_a_sparse_tree_stays_sparse(top, worktrees):
    (top / "e").mkdir()
    (top / "e" / "f.txt").write_text("f\n")
    run(top, "add", "-A")
    run(top, "commit", "-qm", "more")
    run(top, "sparse-checkout", "set", "d")
    workspace = await worktrees.prepare("r1", top, WRITE)
    assert (await worktrees.changes(workspace)).files == ()
    (Path(workspace.path) / "d" / "b.txt").write_text("agent\n")
    assert [one.path for one in (await worktrees.changes(workspace)).files] == ["d/b.txt"]
    assert (await worktrees.apply(workspace)).files == ("d/b.txt",)
    assert not (top / "e").exists()


async def test_a_worktree_of_a_worktree_and_other_worktrees_of_the_caller_live_on(top, worktrees, tmp_path):
    run(top, "worktree", "add", "-q", str(tmp_path / "mine"))
    run(top, "worktree", "add", "-q", str(tmp_path / "away"))
    (tmp_path / "away").rename(tmp_path / "on-another-disk")
    workspace = await worktrees.prepare("r1", tmp_path / "mine", WRITE)
    (Path(workspace.path) / "a.txt").write_text("agent\n")
    assert (await worktrees.apply(workspace)).files == ("a.txt",)
    assert (tmp_path / "mine" / "a.txt").read_text() == "agent\n"
    await worktrees.discard(workspace)
    assert b"away" in run(top, "worktree", "list", "--porcelain")
    assert b"places" not in run(top, "worktree", "list", "--porcelain")


async def test_a_large_difference_is_cut_and_said_to_be(top, worktrees, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.workspaces.worktrees.MOST_DIFF", 1000)
    workspace = await worktrees.prepare("r1", top, WRITE)
    (Path(workspace.path) / "big.txt").write_text("line\n" * 100_000)
    changes = await worktrees.changes(workspace)
    assert (len(changes.diff), changes.truncated, changes.files[0].added) == (1000, True, 100_000)
