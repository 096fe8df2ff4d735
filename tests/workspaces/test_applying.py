"""Applying an agent's changes: for whatever caller and agent did, all of it or nothing, and nobody's work is lost."""

import os
import subprocess
import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.workspaces.applying import Moved, Step, carry_out, changes_in
from mcp_orchestrator.workspaces.settling import Note, seen_as
from mcp_orchestrator.workspaces.worktrees import Worktrees

NAMES = ("a", "b", "d/c")
BASE = {"a": "1\n2\n3\n4\n5\n", "b": "b\n"}

versions = st.sampled_from([None, "x\n", "y\n", "1\n2\n3\n4\nFIVE\n", "ONE\n2\n3\n4\n5\n", "b\n", "1\n2\n3\n4\n5\n"])
trees = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, versions))


def put(top, tree):
    for name, content in tree.items():
        path = top / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)


def files(top):
    found = (path for path in top.rglob("*") if path.is_file() and ".git" not in path.relative_to(top).parts)
    return {str(path.relative_to(top)): path.read_text() for path in found}


def after(edits):
    return {name: content for name, content in {**BASE, **edits}.items() if content is not None}


async def applied(top, places, agent, caller):
    worktrees = Worktrees(places)
    workspace = await worktrees.prepare("r1", top, AgentMode.WRITE)
    put(Path(workspace.path), agent)
    put(top, caller)
    before = files(top)
    return await worktrees.apply(workspace), before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(agent=trees, caller=trees)
def test_what_one_side_changed_stays_and_what_both_changed_is_merged_or_refused(agent, caller):
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory) / "top"
        top.mkdir()
        put(top, BASE)
        who = {f"GIT_{one}_{part}": "t@t" for one in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
            subprocess.run(["git", *command], cwd=top, env={**os.environ, **who}, check=True)
        outcome, before = anyio.run(applied, top, Path(directory) / "places", agent, caller)
        now = files(top)
        if outcome.conflicts:
            assert now == before, "nothing was written"
            both = {name for name in NAMES if name in agent and name in caller}
            assert set(outcome.conflicts) <= both
            return
        theirs, ours = after(agent), after(caller)
        for name in NAMES:
            base, their, our = BASE.get(name), theirs.get(name), ours.get(name)
            if their == base:
                assert now.get(name) == our
            elif our in (base, their):
                assert now.get(name) == their
            else:
                assert now[name] == "ONE\n2\n3\n4\nFIVE\n", "only changes that do not touch are merged"


def test_a_file_that_moved_on_since_it_was_looked_at_stops_everything(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    steps = [
        Step(tmp_path / "a", b"new", "100644", seen_as(tmp_path / "a")),
        Step(tmp_path / "b", b"new", "100644", seen_as(tmp_path / "b")),
    ]
    (tmp_path / "b").write_text("somebody else")
    with pytest.raises(Moved):
        carry_out(steps, "r1", Note(tmp_path, "r1", [step.path for step in steps]))
    assert (tmp_path / "a").read_text() == "a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_raw_difference_of_git_is_read_whatever_the_names():
    raw = b":100644 000000 aaaa 0000 D\0we\nird\0:000000 100755 0000 bbbb A\0caf\xc3\xa9 \xff\0"
    first, second = changes_in(raw)
    assert (first.path, first.after_mode) == ("we\nird", "000000")
    assert os.fsencode(second.path) == b"caf\xc3\xa9 \xff"
