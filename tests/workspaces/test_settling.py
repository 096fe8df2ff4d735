"""A gateway that is killed while it applies changes: whatever it was doing, the caller's tree is whole afterwards."""

import json
import os
import subprocess
import sys

import pytest

from mcp_orchestrator.workspaces.settling import NOTE, Note, beside, locked, settle

# Applies three changes (an update, a removal, an addition in a new directory) and dies at its `sys.argv[2]`th system
# call that changes something.
APPLY = """
import os, sys
from pathlib import Path
from mcp_orchestrator.workspaces.applying import Step, carry_out
from mcp_orchestrator.workspaces.settling import Note, seen_as
top, left = Path(sys.argv[1]), int(sys.argv[2])
def watch(event, args):
    global left
    if event in ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"):
        left -= 1
        if left == 0:
            os._exit(9)
steps = [
    Step(top / "a", b"new", "100644", seen_as(top / "a")),
    Step(top / "b", None, "000000", seen_as(top / "b")),
    Step(top / "d" / "e" / "c", b"c", "100755", None),
]
sys.addaudithook(watch)
carry_out(steps, "r1", Note(top.parent / "places" / "r1", "r1", [step.path for step in steps]))
"""
BEFORE = {"a": "old", "b": "b"}
AFTER = {"a": "new", "d/e/c": "c"}


@pytest.fixture
def top(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    for name, text in BEFORE.items():
        (top / name).write_text(text)
    (tmp_path / "places" / "r1").mkdir(parents=True)
    return top


def whole(top):
    """Every file by name, and every directory that is empty."""
    files = {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}
    empty = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return files, empty


def applied(top, killed_at):
    return subprocess.run([sys.executable, "-c", APPLY, str(top), str(killed_at)], check=False).returncode


def test_whenever_it_is_killed_it_is_all_or_nothing_once_it_is_settled(top, tmp_path):
    outcomes = set()
    for killed_at in range(1, 100):
        code = applied(top, killed_at)
        settle(tmp_path / "places")
        files, empty = whole(top)
        assert files in (BEFORE, AFTER), killed_at
        assert empty == [], killed_at
        assert not (tmp_path / "places" / "r1" / NOTE).exists()
        outcomes.add(files == AFTER)
        if code == 0:
            break
        for name in AFTER:
            (top / name).unlink(missing_ok=True)
        for name, text in BEFORE.items():
            (top / name).write_text(text)
    assert code == 0, "it was killed at every step that it has"
    assert killed_at > 8
    assert outcomes == {True, False}


def test_what_somebody_has_touched_since_is_left_alone(top, tmp_path):
    note = Note(tmp_path / "places" / "r1", "r1", [top / "a"])
    beside(top / "a", "r1", "old").write_text("old")
    (top / "a").write_text("of a person")
    note.write("replacing", {os.fspath(top / "a"): (1, 2, 3)})
    assert settle(tmp_path / "places") == ["r1"]
    assert whole(top)[0] == {"a": "of a person", "b": "b"}


def test_what_another_gateway_is_applying_is_not_touched(top, tmp_path):
    place = tmp_path / "places" / "r1"
    Note(place, "r1", [top / "a"]).write("replacing")
    with locked(place) as ours:
        assert ours
        assert settle(tmp_path / "places") == []
        with locked(place) as again:
            assert not again
    assert json.loads((place / NOTE).read_text())["phase"] == "replacing"


def test_names_beside_are_short_and_never_the_same_for_two_files(tmp_path):
    one, other = beside(tmp_path / ("n" * 250 + "1"), "r1", "new"), beside(tmp_path / ("n" * 250 + "2"), "r1", "new")
    assert one != other
    assert len(one.name) < 60
