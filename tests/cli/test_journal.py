"""The journal of a configuration is opened, or its absence is an ending with the right code."""

import pytest

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.journal import opened_journal
from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.printing import Printer
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.connecting import open_writer, prepare_place


@pytest.fixture
def configuration(configured, tmp_state):
    return lambda **sections: require(configured(**sections), Printer())


def test_no_journal_and_no_database_are_unreachable(configuration, free_port):
    with pytest.raises(Ended) as none:
        opened_journal(configuration())
    assert (none.value.code, "serve" in none.value.fix) == (Exit.UNREACHABLE, True)
    with pytest.raises(Ended) as gone:
        opened_journal(configuration(storage={"url": f"postgresql://127.0.0.1:{free_port}/state"}))
    assert (gone.value.code, "cannot be reached" in gone.value.message) == (Exit.UNREACHABLE, True)


def test_a_journal_that_cannot_be_used_is_a_matter_of_configuration(configuration):
    made = configuration()
    prepare_place(made.snapshot.storage.path)
    made.snapshot.storage.path.write_bytes(b"no database" * 1000)
    with pytest.raises(Ended) as damaged:
        opened_journal(made)
    assert damaged.value.code is Exit.USAGE


def test_a_journal_is_opened(configuration):
    made = configuration()
    prepare_place(made.snapshot.storage.path)
    open_writer(made.snapshot.storage.path, Durability.NORMAL).close()
    with opened_journal(made) as journal:
        assert journal.runs() == []
