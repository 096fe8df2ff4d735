"""Pruning: old rows go from the beginning only, in steps, and what is left verifies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage import retention
from mcp_orchestrator.storage.connecting import prepare_place
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.retention import prune_step
from mcp_orchestrator.storage.writer import JournalFile


def written(place, times):
    file = place.file()
    if times:
        file.append([Event(EventKind.RUN_STARTED, at, "r") for at in times])
    return file


def prune(file, **limits):
    gone = 0
    while step := prune_step(file.connection, now=0.0, **{"older_than": None, "max_rows": None, **limits}):
        gone += step
    return gone


def left(file):
    return [seq for (seq,) in file.connection.execute("SELECT seq FROM event ORDER BY seq")]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"older_than": 0.0}, [1, 2, 3, 4]),
        ({"older_than": 25.0}, [3, 4]),
        ({"older_than": 1000.0}, []),
        ({"max_rows": 10}, [1, 2, 3, 4]),
        ({"max_rows": 1}, [4]),
        ({"max_rows": 0}, []),
        ({"older_than": 15.0, "max_rows": 2}, [3, 4]),
        ({"older_than": 35.0, "max_rows": 3}, [4]),
    ],
)
def test_what_is_too_old_or_too_many_goes(place, limits, expected):
    file = written(place, [10.0, 20.0, 30.0, 40.0])
    assert prune(file, **limits) == 4 - len(expected)
    assert left(file) == expected
    file.append([Event(EventKind.RUN_ENDED, 50.0, "r")])
    assert left(file) == [*expected, 5]
    with place.reader() as reader:
        verdict = reader.verify()
    assert (verdict.fault, verdict.rows) == (None, len(expected) + 1)
    file.connection.close()


def test_an_empty_journal_has_nothing_to_prune(place):
    file = written(place, [])
    assert prune(file, max_rows=0) == 0
    file.connection.close()


def test_a_young_row_protects_what_follows_it(place):
    file = written(place, [10.0, 90.0, 20.0])
    prune(file, older_than=50.0)
    assert left(file) == [2, 3]
    file.connection.close()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 45), st.integers(1, 7))
def test_steps_of_any_size_end_at_the_same_row(tmp_path_factory, rows, keep, step):
    path = tmp_path_factory.mktemp("prune") / "state.db"
    prepare_place(path)
    file = JournalFile(path, Durability.NORMAL)
    if rows:
        file.append([Event(EventKind.RUN_STARTED, float(n), "r") for n in range(rows)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "STEP", step)
        gone = prune(file, max_rows=keep, older_than=rows / 2)
    young = rows - (rows + 1) // 2
    assert rows - gone == min(keep, young)
    with JournalReader(path) as reader:
        assert reader.verify().fault is None
    file.connection.close()


def test_cutting_at_the_beginning_without_an_anchor_is_seen(place):
    file = written(place, [1.0, 2.0, 3.0])
    file.connection.execute("DELETE FROM event WHERE seq = 1")
    with place.reader() as reader:
        assert reader.verify().fault.seq == 1
    file.connection.close()
