"""Git as a child process: what it sees, how it is bounded, and what it tells."""

import os

import pytest

from mcp_orchestrator.workspaces import git as module
from mcp_orchestrator.workspaces.git import Git, GitError, environment, lines

pytestmark = pytest.mark.anyio


def test_nothing_of_the_repository_that_we_happen_to_be_in_is_passed_on():
    seen = environment({"GIT_DIR": "/x", "GIT_CONFIG_PARAMETERS": "'a=b'", "PATH": "/bin"}, {"GIT_INDEX_FILE": "/i"})
    assert "GIT_DIR" not in seen
    assert "GIT_CONFIG_PARAMETERS" not in seen
    assert (seen["PATH"], seen["GIT_INDEX_FILE"], seen["GIT_TERMINAL_PROMPT"]) == ("/bin", "/i", "0")


async def test_settings_and_filters_that_start_programs_are_off(tmp_path):
    await Git(tmp_path)("init", "-q")
    config = Git(tmp_path)
    await config("config", "filter.a=b.c.clean", "evil")
    await config("config", "filter.lfs.process", "evil")
    await config("config", "filter.lfs.required", "true")
    await config("config", "core.hooksPath", "evil")
    plain = await config.plain()
    assert await plain.text("config", "filter.a=b.c.clean") == ""
    assert await plain.text("config", "filter.lfs.process") == ""
    assert await plain.text("config", "filter.lfs.required") == "false"
    assert await plain.text("config", "core.hooksPath") == "/dev/null"


async def test_what_is_given_is_read_and_what_is_written_may_be_bounded(tmp_path):
    await Git(tmp_path)("init", "-q")
    blob = (await Git(tmp_path)("hash-object", "-w", "--stdin", given=b"x" * 500_000)).decode().strip()
    assert len(await Git(tmp_path)("cat-file", "blob", blob)) == 500_000
    assert 1000 < len(await Git(tmp_path)("cat-file", "blob", blob, most=1000)) < 500_000
    assert len(await Git(tmp_path)("cat-file", "blob", blob, most=500_000)) == 500_000


async def test_failures_are_told_in_gits_own_words(tmp_path, monkeypatch):
    with pytest.raises(GitError, match="rev-parse failed: fatal"):
        await Git(tmp_path)("rev-parse", "HEAD")
    with pytest.raises(GitError, match="rev-parse failed: fatal"):
        await Git(tmp_path)("rev-parse", "HEAD", most=10)
    with pytest.raises(GitError, match="there is no directory"):
        await Git(tmp_path / "nowhere")("status")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="install git"):
        await Git(tmp_path)("status")


async def test_a_command_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    for most in (None, 10):
        with pytest.raises(GitError, match="status took longer than"):
            await Git(tmp_path)("status", most=most)


def test_fields_that_end_with_a_nul_are_taken_apart():
    assert [os.fsencode(name) for name in lines(b"a b\0\xff\n\0")] == [b"a b", b"\xff\n"]
