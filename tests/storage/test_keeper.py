"""The lock of a gateway that carries out delegations: it ends with the process, however that ends."""

import subprocess
import sys

import pytest

from mcp_orchestrator.storage.keeper import Keeper
from mcp_orchestrator.storage.trouble import StorageError

HOLDER = """
import sys
from pathlib import Path
from mcp_orchestrator.storage.keeper import Keeper
keeper = Keeper(Path(sys.argv[1]))
print(keeper.hold(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def other(path):
    """Another process that holds a lock, and its token."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_keeper_makes_nothing_before_it_holds(path):
    keeper = Keeper(path)
    assert list(path.parent.iterdir()) == []
    keeper.release()


def test_two_gateways_in_one_process_tell_each_other_apart(path):
    one, two = Keeper(path), Keeper(path)
    assert one.hold() == one.hold() == one.token != two.hold()
    assert one.is_alive(two.token)
    assert two.is_alive(two.token)
    two.release()
    two.release()
    assert not one.is_alive(two.token)
    one.release()
    assert list(path.parent.iterdir()) == []


def test_a_gateway_that_was_killed_is_no_longer_alive(path, other):
    process, token = other
    keeper = Keeper(path)
    assert keeper.is_alive(token)
    process.kill()
    process.wait()
    assert not keeper.is_alive(token)
    keeper.forget(token)
    assert list(path.parent.iterdir()) == []


def test_looking_is_not_holding(path):
    one, two, three = (Keeper(path) for _ in range(3))
    one.hold()
    assert two.is_alive(one.token)
    assert three.is_alive(one.token)
    one.release()


@pytest.mark.parametrize("token", ["", "../state.db", "7-", "7-0123456789ab/x", "nobody"])
def test_what_is_no_token_belongs_to_nobody_and_touches_no_file(path, token):
    path.touch()
    keeper = Keeper(path)
    assert not keeper.is_alive(token)
    keeper.forget(token)
    assert path.exists()


def test_where_no_lock_can_be_made_it_is_told_what_to_do(tmp_path):
    with pytest.raises(StorageError, match=r"storage\.url"):
        Keeper(tmp_path / "none" / "state.db").hold()
