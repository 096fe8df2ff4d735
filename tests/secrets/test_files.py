"""Secrets in files."""

import os

import pytest

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.secrets.files import MAX_BYTES, FileSecrets


@pytest.fixture
def write(tmp_path):
    """Writes a file of the given bytes and mode next to the configuration."""

    def run(data=b"hunter2\n", mode=0o600, name="token"):
        path = tmp_path / name
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return run


@pytest.fixture
def source(tmp_path):
    """The source for a configuration in `tmp_path` of a user who lives in `tmp_path/home`."""
    return FileSecrets(tmp_path, tmp_path / "home")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_is_a_secret(write, source, mode):
    path = write(mode=mode)
    assert source.resolve("token") == Secret("hunter2")
    assert source.resolve(str(path)) == Secret("hunter2")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_file_open_to_others_is_refused(write, source, mode):
    write(mode=mode)
    with pytest.raises(LookupError, match="chmod 600"):
        source.resolve("token")


def test_a_link_is_judged_by_what_it_leads_to(write, source, tmp_path):
    path = write(mode=0o644)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(LookupError, match="open to others"):
        source.resolve("link")


def test_the_home_directory_is_the_users(write, source, tmp_path):
    (tmp_path / "home").mkdir()
    write(name="home/token")
    assert source.resolve("~/token") == Secret("hunter2")


@pytest.mark.parametrize(("data", "text"), [(b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), ("é".encode(), "é")])
def test_one_line_end_is_dropped_and_nothing_else(write, source, data, text):
    write(data)
    assert source.resolve("token").reveal() == text


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "empty"), (b"\n", "empty"), (b"\xff", "UTF-8"), (b"x" * (MAX_BYTES + 1), "larger")]
)
def test_what_cannot_be_a_secret_is_refused_without_showing_it(write, source, data, words):
    write(data)
    with pytest.raises(LookupError, match=words):
        source.resolve("token")


def test_missing_files_directories_and_pipes_are_refused(source, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, words in (
        ("none", "does not exist"),
        (".", "regular|cannot be read"),
        ("pipe", "regular"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(LookupError, match=words):
            source.resolve(name)
