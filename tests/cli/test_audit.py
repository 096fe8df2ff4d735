"""`audit`: a journal that is whole is said to be so, one that is not names its row; events go out without secrets."""

import json
import sqlite3
import stat
from contextlib import closing

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.audit import SCHEMA
from mcp_orchestrator.cli.main import commands
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.connecting import prepare_place
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.retention import prune_step
from mcp_orchestrator.storage.writer import JournalFile

TOKEN = "ghp_" + "a" * 36


def story(count, run="r1", at=1_700_000_000.0):
    data = {"method": "tools/call", "name": "n", "n": 0}
    return [Event(EventKind.RUN_STARTED, at + n, run, data | {"n": n}) for n in range(count)]


@pytest.fixture
def audit(tmp_path, tmp_state, monkeypatch, configured):
    monkeypatch.chdir(tmp_path)
    configured()

    def run(*words):
        return CliRunner().invoke(commands, ["audit", *words])

    return run


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "state" / "state.db"
    prepare_place(place)
    return place


@pytest.fixture
def write(path):
    files = [JournalFile(path, Durability.NORMAL) for _ in range(2)]
    yield lambda events, gateway=0: files[gateway].append(events)
    for file in files:
        file.connection.close()


@pytest.fixture
def forge(path):
    def change(sql, *values):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(sql, values)

    return change


def test_a_whole_journal_of_two_gateways_is_whole_and_its_head_can_be_compared_later(audit, write):
    write(story(3))
    write(story(2, "r2"), 1)
    write(story(1))
    found = json.loads(audit("verify", "--format", "json").stdout)
    assert (found["whole"], found["rows"], found["fault"], found["begins_after"]) == (True, 6, None, None)
    assert found["head"].startswith("6:")
    write(story(4), 1)
    later = audit("verify", "--head", found["head"])
    assert (later.exit_code, "whole: 10 rows" in later.stdout) == (0, True)


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("UPDATE event SET data = replace(data, '\"n\":3', '\"n\":4') WHERE seq = 4", 4),
        ("UPDATE event SET at = at + 0.001 WHERE seq = 2", 2),
        ("UPDATE event SET run = 'r2' WHERE seq = 5", 5),
        ("UPDATE event SET kind = 'run.ended' WHERE seq = 1", 1),
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 6", 6),
        ("DELETE FROM event WHERE seq = 3", 3),
        ("INSERT INTO event SELECT 7, at, kind, run, data, hash FROM event WHERE seq = 6", 7),
    ],
)
def test_whatever_is_changed_names_its_row(audit, write, forge, sql, row):
    write(story(6))
    forge(sql)
    told = audit("verify")
    assert (told.exit_code, f"row {row} " in told.stderr) == (5, True)
    found = json.loads(audit("verify", "--format", "json").stdout)
    assert (found["whole"], found["fault"]["seq"]) == (False, row)


def test_a_byte_flipped_in_the_file_names_its_row(audit, write, path):
    write(story(5000))
    with JournalReader(path) as journal:
        wanted = journal.hash_of(3210)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[content.index(wanted)] ^= 1
    path.write_bytes(content)
    assert json.loads(audit("verify", "--format", "json").stdout)["fault"]["seq"] == 3210


def test_an_end_that_was_cut_off_and_a_chain_made_anew_are_seen_by_the_head(audit, write, forge, path):
    write(story(5))
    head = json.loads(audit("verify", "--format", "json").stdout)["head"]
    forge("DELETE FROM event WHERE seq = 5")
    assert audit("verify").exit_code == 0
    cut = audit("verify", "--head", head)
    assert (cut.exit_code, "row 5 is missing" in cut.stderr) == (5, True)
    with closing(JournalFile(path, Durability.NORMAL).connection) as connection:
        assert connection.in_transaction is False
    write_anew = JournalFile(path, Durability.NORMAL)
    write_anew.append(story(1, "other"))
    write_anew.connection.close()
    anew = audit("verify", "--head", head)
    assert (anew.exit_code, "row 5 is another one" in anew.stderr) == (5, True)


def test_what_retention_left_is_whole_behind_its_anchor(audit, write, path):
    write(story(9))
    head = json.loads(audit("verify", "--format", "json").stdout)["head"]
    file = JournalFile(path, Durability.NORMAL)
    assert prune_step(file.connection, older_than=None, max_rows=4, now=1.0) == 5
    file.connection.close()
    told = audit("verify", "--head", head)
    assert (told.exit_code, "4 rows after row 5" in told.stdout) == (0, True)
    assert audit("verify", "--head", f"5:{'0' * 64}").exit_code == 5
    gone = audit("verify", "--head", f"2:{'0' * 64}")
    assert (gone.exit_code, "removed with older ones" in gone.stderr) == (2, True)


def test_a_head_that_is_none_and_a_journal_that_is_not_there(audit):
    assert audit("verify").exit_code == 4
    assert audit("verify", "--head", "here").exit_code == 2
    assert audit("export").exit_code == 4


def test_events_are_exported_in_order_and_by_what_was_asked_for(audit, write):
    write(story(3))
    write([Event(EventKind.CALL_REFUSED, 1_700_000_100.0, "r2", {"name": "x"})])
    write([Event(EventKind.GATEWAY_STOPPED, 1_700_000_200.5, None, {})])
    lines = [json.loads(line) for line in audit("export").stdout.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[-1] | {"hash": ""} == {
        "schema": SCHEMA,
        "seq": 5,
        "at": "2023-11-14T22:16:40.500000Z",
        "kind": "gateway.stopped",
        "run": None,
        "data": {},
        "hash": "",
    }

    def found(*words):
        return [json.loads(line)["seq"] for line in audit("export", *words).stdout.splitlines()]

    assert found("--run", "r1") == [1, 2, 3]
    assert found("--kind", "call.*", "--kind", "gateway.stopped") == [4, 5]
    assert found("--since", "2023-11-14T22:15:00Z") == [4, 5]
    assert found("--since", "2023-11-14T22:15:00Z", "--until", "2023-11-14T22:16:40.500Z") == [4]
    assert found("--since", "1h") == []
    assert audit("export", "--since", "yesterday").exit_code == 2
    assert audit("export", "--kind", "nothing.*").exit_code == 2


def test_no_secret_is_exported(audit, write, configured, monkeypatch):
    monkeypatch.setenv("CANARY", "canary-word-1234")
    configured(mcpServers={"more": {"command": "x", "env": {"KEY": "${secret:env/CANARY}"}}})
    said = {"text": f"it said canary-word-1234 and {TOKEN}", "deep": [{"canary-word-1234": TOKEN}]}
    write([Event(EventKind.RUN_ENDED, 1.0, "r", said)])
    out = audit("export")
    assert out.exit_code == 0
    assert "canary-word-1234" not in out.stdout
    assert TOKEN not in out.stdout
    assert "it said" in out.stdout


def test_a_file_is_written_as_a_whole_for_its_owner_alone(audit, write, tmp_path):
    write(story(4))
    target = tmp_path / "out.jsonl"
    target.write_text("old", encoding="utf-8")
    told = audit("export", "--out", str(target), "--format", "json")
    assert json.loads(told.stdout) == {"exported": 4, "file": str(target), "schema": SCHEMA}
    assert len(target.read_text(encoding="utf-8").splitlines()) == 4
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".out*")) == []
    assert audit("export", "--out", str(tmp_path / "none" / "x")).exit_code == 1


def test_events_are_cloud_events_where_they_are_to_be(audit, write):
    write(story(1))
    (line,) = [json.loads(line) for line in audit("export", "--cloudevents").stdout.splitlines()]
    assert {"specversion", "id", "source", "type", "time", "subject", "sequence", "data"} <= set(line)
    assert (line["specversion"], line["type"], line["subject"]) == ("1.0", "mcp-orchestrator.run.started", "r1")
    assert line["time"] == "2023-11-14T22:13:20.000000Z"
    assert len(line["id"]) == 64
