"""An agent's process: a clean environment, a TMPDIR of its own, its lines, and the end of its whole tree."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from agent_kit import place
from gateway_kit import until

from mcp_orchestrator.backends import agent_process
from mcp_orchestrator.backends.agent_process import AgentProcess
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.snapshot import Secret

pytestmark = pytest.mark.anyio

ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"


def is_running(pid):
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Started:
    """Starts programs as agents, and ends them with the test."""

    def __init__(self, reaper, tmp_path):
        self._reaper, self.tmp_path, self._made = reaper, tmp_path, []
        self.lines, self.heard = [], anyio.Event()

    def _line(self, line):
        self.lines.append(line)
        self.heard.set()

    async def __call__(self, code, *, passed=(), env=None, command=None, configured=(), **spec):
        process = AgentProcess(AgentSpec("toy", AgentKind.CLI, env=configured, **spec), self._reaper, self._line)
        self._made.append(process)
        await process.start(command or (sys.executable, "-c", code), place(self.tmp_path), passed=passed, env=env)
        return process

    async def aclose(self):
        for process in self._made:
            await process.stop()


@pytest.fixture
async def started(reaper, tmp_path):
    made = Started(reaper, tmp_path)
    yield made
    await made.aclose()


async def test_it_gets_what_the_profile_passes_and_the_configuration_says_and_nothing_else(started, monkeypatch):
    for name in ("SECRET_OF_OURS", "PASSED", "WANTED"):
        monkeypatch.setenv(name, "ours")
    process = await started(ENVIRONMENT, passed=["PASSED"], env={"OWN": "profile"}, inherit_env=("WANTED",))
    with anyio.fail_after(10):
        await process.ended.wait()
    seen = json.loads(started.lines[0])
    assert (seen["PASSED"], seen["WANTED"], seen["OWN"]) == ("ours", "ours", "profile")
    assert "SECRET_OF_OURS" not in seen
    assert seen["TMPDIR"] == str(place(started.tmp_path).scratch)
    assert seen["TMPDIR"] != os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - where it must not be


async def test_the_configuration_has_the_last_word_about_a_variable(started):
    process = await started(ENVIRONMENT, env={"BOTH": "profile"}, configured=(("BOTH", Secret("configuration")),))
    with anyio.fail_after(10):
        await process.ended.wait()
    assert json.loads(started.lines[0])["BOTH"] == "configuration"


async def test_what_it_says_on_standard_error_is_kept_without_secrets_and_only_the_last(started):
    code = "import sys; [print('line', n, 'sk-1', file=sys.stderr) for n in range(50)]"
    process = await started(code, confidential=(Secret("sk-1"),))
    with anyio.fail_after(10):
        await process.ended.wait()
    assert len(process.stderr) == agent_process.TAIL
    assert process.stderr[-1] == "line 49 <secret>"


async def test_a_line_without_end_is_thrown_away_and_said(started, monkeypatch):
    monkeypatch.setattr(agent_process, "LONGEST_LINE", 1024 * 1024)
    process = await started("print('x' * 3_000_000, flush=True); print('short', flush=True)")
    with anyio.fail_after(10):
        await process.ended.wait()
    assert started.lines == [b"short"]
    assert any("was thrown away" in line for line in process.stderr)


async def test_it_reads_what_is_written_and_ends_with_its_input(started):
    process = await started("import sys; [print(line.strip().upper(), flush=True) for line in sys.stdin]")
    process.write(b"hello")
    with anyio.fail_after(10):
        await started.heard.wait()
        process.close_input()
        await process.ended.wait()
    assert started.lines == [b"HELLO"]


async def test_it_ends_with_everything_that_it_started(started):
    code = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True); time.sleep(60)"
    process = await started(code)
    with anyio.fail_after(30):
        await started.heard.wait()
        await process.stop()
    await until(lambda: not is_running(int(started.lines[0])))


async def test_a_program_that_is_not_there_is_told_with_its_name(started):
    with pytest.raises(BackendError, match="no-such-program"):
        await started("", command=("no-such-program",))


async def test_before_it_is_started_it_is_harmless(reaper):
    process = AgentProcess(AgentSpec("toy", AgentKind.CLI), reaper, lambda _line: None)
    process.write(b"x")
    process.close_input()
    await process.stop()
    assert process.pid is None
