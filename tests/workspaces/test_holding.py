"""A place is held as long as anything works on it, also after whoever started that is gone."""

import asyncio
import os
import sys

import anyio
import pytest

from mcp_orchestrator.workspaces.git import Git
from mcp_orchestrator.workspaces.holding import held

pytestmark = pytest.mark.anyio


async def test_who_comes_second_waits_for_the_first(tmp_path):
    entered, order = asyncio.Event(), []

    async def second():
        async with held(tmp_path / "lock"):
            order.append("second")

    async with held(tmp_path / "lock"):
        waiting = asyncio.ensure_future(second())
        entered.set()
        await asyncio.sleep(0)
        order.append("first")
    with anyio.fail_after(5):
        await waiting
    assert order == ["first", "second"]


async def test_a_program_that_inherits_it_holds_it_after_its_starter_is_gone(tmp_path):
    async with held(tmp_path / "lock") as lock:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, pass_fds=(lock,)
        )
    with pytest.raises(ValueError, match="still works on"):
        async with held(tmp_path / "lock", patience=0.1):
            pass
    await program.communicate(b"\n")
    async with held(tmp_path / "lock", patience=0):
        pass


async def test_git_inherits_it(tmp_path):
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text("#!/bin/sh\nls -l /proc/$$/fd\n")
    spy.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{spy.parent}:{before}"
    try:
        async with held(tmp_path / "lock") as lock:
            assert str(tmp_path / "lock") in await Git(tmp_path, hold=lock).on(tmp_path).text("status")
        assert str(tmp_path / "lock") not in await Git(tmp_path).text("status")
    finally:
        os.environ["PATH"] = before
