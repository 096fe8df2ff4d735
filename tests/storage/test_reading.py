"""Reading the journal: lists of runs, one run, events of a kind, beside a writer."""

import os

import pytest

from mcp_orchestrator.model.agent import AgentMode, Ended, EndStatus
from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.connecting import prepare_place
from mcp_orchestrator.storage.delegations import encode_delegated, put_delegated
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.trouble import StorageError
from mcp_orchestrator.storage.writer import JournalFile


def started(run, at, backend="files", name="files__read", target="read"):
    data = {"method": "tools/call", "name": name, "backend": backend, "target": target}
    return Event(EventKind.RUN_STARTED, at, run, data)


def ended(run, at, status="completed"):
    return Event(EventKind.RUN_ENDED, at, run, {"status": status, "ms": 1.5})


GONE = 2**30
STORY = [
    Event(EventKind.GATEWAY_STARTED, 1.0, None, {"pid": GONE, "runs": "lost"}),
    started("lost", 2.0),
    started("late", 3.0, "web", "web__fetch", "fetch"),
    Event(EventKind.GATEWAY_STARTED, 4.0, None, {"pid": os.getpid(), "runs": "c"}),
    started("a", 5.0),
    started("b", 6.0, "web", "web__fetch", "fetch[1]"),
    ended("a", 7.0),
    Event(EventKind.CALL_REFUSED, 8.0, "no", {"name": "x__y", "kind": "unknown_name", "text": "no such tool"}),
    Event(EventKind.QUESTION_ASKED, 9.0, "b", {"method": "elicitation/create"}),
    started("c", 10.0),
    ended("b", 11.0, "failed"),
    ended("late", 12.0),
    Event(EventKind.BACKEND_ENDED, 13.0, None, {"backend": "web"}),
]


@pytest.fixture
def written(place, monkeypatch):
    """The story, written by a gateway that lives."""
    file = place.file()
    if "postgres" in place.word:  # where a lock tells who lives, and not the process id of a gateway on this machine
        took_up = file._database.took_up

        def alive(events):
            took_up([event for event in events if event.data.get("pid") != GONE])

        monkeypatch.setattr(file._database, "took_up", alive)
    file.append(STORY)
    yield file
    file.connection.close()


@pytest.fixture
def path(tmp_path):
    """The story in a file."""
    place = tmp_path / "file.db"
    prepare_place(place)
    file = JournalFile(place, Durability.NORMAL)
    file.append(STORY)
    yield place
    file.connection.close()


@pytest.fixture
def reader(written, place):
    with place.reader() as opened:
        yield opened


def ids(runs):
    return [run.id for run in runs]


def test_a_run_waits_while_a_question_of_it_is_open(place):
    file = place.file()
    here = Event(EventKind.GATEWAY_STARTED, 0.0, None, {"pid": os.getpid(), "runs": "r"})
    asked, again = (Event(EventKind.QUESTION_ASKED, 2.0, "r", {"question": key}) for key in ("q1", "q2"))
    answered, too = (Event(EventKind.QUESTION_ANSWERED, 3.0, "r", {"question": key}) for key in ("q2", "q1"))
    seen = []
    for event in (here, started("r", 1.0), asked, again, answered, too, ended("r", 4.0)):
        file.append([event])
        with place.reader() as reader:
            seen += [run.status for run in reader.runs()]
            assert len(reader.runs(status="waiting")) == int(seen[-1:] == ["waiting"])
    assert seen == ["running", "waiting", "waiting", "waiting", "running", "completed"]
    file.connection.close()


def test_runs_come_newest_first_with_how_they_ended(reader):
    runs = reader.runs()
    assert [(run.id, run.status) for run in runs] == [
        ("c", "running"),
        ("no", "refused"),
        ("b", "failed"),
        ("a", "completed"),
        ("late", "completed"),
        ("lost", "lost"),
    ]
    first = runs[3]
    assert (first.started_at, first.ended_at, first.started["backend"]) == (5.0, 7.0, "files")
    assert first.ended == {"status": "completed", "ms": 1.5}
    assert (runs[0].ended, runs[0].ended_at) == (None, None)


def test_pages_follow_each_other_without_gap_or_overlap(reader):
    pages, before = [], None
    while page := reader.runs(2, before):
        assert len(page) <= 2
        pages += ids(page)
        before = page[-1].seq
    assert pages == ids(reader.runs())


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"backend": "web"}, ["b", "late"]),
        ({"backend": "we*"}, []),
        ({"tool": "web__fetch"}, ["b", "late"]),
        ({"tool": "*fetch*"}, ["b", "late"]),
        ({"tool": "fetch[1]"}, ["b"]),
        ({"tool": "x__?"}, ["no"]),
        ({"status": "lost"}, ["lost"]),
        ({"status": "completed", "backend": "web"}, ["late"]),
        ({"status": "completed", "limit": 1}, ["a"]),
    ],
)
def test_filters(reader, filters, expected):
    assert ids(reader.runs(**filters)) == expected


def test_one_run_is_all_its_events_in_order(reader):
    assert [event.kind for event in reader.run("b")] == ["run.started", "question.asked", "run.ended"]
    assert reader.run("nobody") == []


def test_events_of_some_kinds_newest_first(reader):
    assert [event.at for event in reader.events(["gateway.started", "backend.ended"])] == [13.0, 4.0, 1.0]
    assert [event.seq for event in reader.events(limit=2)] == [13, 12]
    assert [event.seq for event in reader.events(before=3)] == [2, 1]
    assert [event.seq for event in reader.events(after=11)] == [13, 12]
    assert [event.data for event in reader.events([EventKind.BACKEND_ENDED])] == [{"backend": "web"}]


def test_what_is_committed_later_is_seen(place, reader):
    other = place.file()
    other.append([ended("c", 20.0)])
    assert reader.runs(1)[0].status == "completed"
    assert reader.verify().rows == len(STORY) + 1
    other.connection.close()


def test_a_row_that_was_edited_is_named_and_still_shown(place, reader):
    place.ask("UPDATE event SET data = 'not json' WHERE seq = 5", "UPDATE event SET data = '[1]' WHERE seq = 7")
    verdict = reader.verify()
    assert verdict.fault.seq == 5
    assert verdict.rows == 4
    assert reader.run("a")[0].data == {"unreadable": "not json"}
    assert ids(reader.runs(backend="files")) == ["c", "lost"]
    assert len(reader.runs()) == 6


@pytest.mark.parametrize("column", ["at", "kind", "run", "data", "hash"])
def test_a_row_edited_in_any_column_is_named(place, reader, column):
    changed = {"at": "at + 1", "hash": "(SELECT hash FROM event WHERE seq = 9)"}
    value = changed.get(column, f"{column} || 'x'")
    place.ask(f"UPDATE event SET {column} = {value} WHERE seq = 10")  # noqa: S608
    assert reader.verify().fault.seq == 10


def test_a_file_that_is_torn_says_so(path):
    other = JournalFile(path, Durability.NORMAL)
    other.append([started(f"r{n}", 30.0) for n in range(200)])
    other.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # everything is in the file itself now
    other.connection.close()
    with JournalReader(path) as whole:
        assert whole.verify().fault is None
    torn = bytearray(path.read_bytes())
    torn[3 * 4096 :] = b"\xff" * (len(torn) - 3 * 4096)
    path.write_bytes(torn)
    with JournalReader(path) as reader, pytest.raises(StorageError, match="damaged"):
        reader.verify()


def test_events_of_a_run_can_be_followed(reader):
    first = reader.run("b", limit=1)
    assert [event.kind for event in first] == ["run.started"]
    assert [event.kind for event in reader.run("b", after=first[-1].seq)] == ["question.asked", "run.ended"]
    assert reader.run("b", after=99) == []


def delegated(file, run, keeper, **more):
    kept = Delegated(run, "claude", "claude-code", "do it", AgentMode.READ, "ada", **more)
    put_delegated(file.connection, (run, "ada", "claude", kept.state.value, keeper, 1.0, 1.0, encode_delegated(kept)))


def test_a_delegation_outlives_the_call_that_began_it(written, place, reader):
    other = place.file()
    keeper = other._database.keeper(lambda: other.connection)
    delegated(written, "a", keeper.hold())
    delegated(written, "lost", keeper.token)
    delegated(written, "c", "1-0123456789ab")
    ended = Ended(EndStatus.LIMIT)
    delegated(written, "late", "1-0123456789ab", state=DelegationState.ENDED, ended=ended)
    found = {run.id: run.status for run in reader.runs()}
    assert (found["a"], found["lost"], found["c"], found["late"]) == ("running", "running", "lost", "limit")
    keeper.release()
    other.connection.close()
    assert {run.id: run.status for run in reader.runs()}["a"] == "lost"


def test_a_delegation_that_no_call_began_is_listed_once_like_one(written, reader):
    data = {"agent": "claude", "mode": "read", "owner": "ada"}
    accepted = [Event(EventKind.DELEGATION_ACCEPTED, 14.0, run, data) for run in ("a", "alone")]
    written.append(accepted)
    delegated(written, "alone", "1-0123456789ab", state=DelegationState.ENDED, ended=Ended(EndStatus.COMPLETED))
    found = reader.runs(backend="/gateway", tool="delegate")
    assert [(run.id, run.status, run.started["principal"]) for run in found] == [("alone", "completed", "ada")]
    assert [run.id for run in reader.runs()].count("a") == 1


def test_a_walk_goes_along_all_rows_in_order_with_their_hashes(written, reader, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.storage.reading.STRIDE", 4)
    found = list(reader.walk())
    assert [event.seq for event, _ in found] == list(range(1, len(STORY) + 1))
    assert all(reader.hash_of(event.seq) == digest for event, digest in found)
    assert [event.seq for event, _ in reader.walk(run="b", kinds=["run.ended", "run.started"])] == [6, 11]
    assert [event.seq for event, _ in reader.walk(since=12.0, until=13.0)] == [12]
    assert reader.hash_of(99) is None


def test_a_walk_in_any_stride_verifies(reader, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.storage.reading.STRIDE", 5)
    assert (reader.verify().rows, reader.verify().fault) == (len(STORY), None)
