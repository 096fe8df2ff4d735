"""Whether a configuration file has changed, and whether there is anything in it."""

import os

import pytest

from mcp_orchestrator.config.watching import is_blank, stamp, stamp_after

pytestmark = pytest.mark.anyio


def test_a_stamp_changes_with_the_file_and_is_none_without_it(tmp_path):
    path = tmp_path / "c.yaml"
    assert stamp(path) is None
    path.write_text("a")
    first = stamp(path)
    assert first == stamp(path)
    os.utime(path, ns=(0, 0))
    assert stamp(path) == (0, 1)
    path.write_text("ab")
    assert stamp(path) not in (None, first, (0, 1))


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \n\t", True), ("a: 1", False)])
def test_only_a_file_with_nothing_in_it_is_blank(tmp_path, text, blank):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert is_blank(path) is blank


def test_a_file_that_cannot_be_read_is_not_blank(tmp_path):
    assert not is_blank(tmp_path / "none")


async def test_the_stamp_of_a_while_later(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("a")
    assert await stamp_after(path, 0) == stamp(path)
