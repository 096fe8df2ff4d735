"""Commands that documents show are carried out, and configurations that we ship are loaded."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?ms)^ *```console$\n(.*?)^ *```$")
BINARIES = [str(Path(sys.executable).parent), str(ROOT / ".cache" / "peers" / "bin")]  # the quickstart's servers
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def console_lines():
    """Every `$ command` of a console block in the documents: `(file, command)`."""
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for block in BLOCK.findall(path.read_text()):
            for line in block.splitlines():
                if line.strip().startswith("$ "):
                    yield str(path.relative_to(ROOT)), line.strip()[2:]


def run(arguments):
    return subprocess.run(
        [sys.executable, "-m", "mcp_orchestrator", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": os.pathsep.join([*BINARIES, os.environ["PATH"]])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("file", "line"), sorted(set(console_lines())))
@pytest.mark.real
def test_a_command_that_a_document_shows_works(file, line, tmp_state):
    program, *arguments = shlex.split(line)
    assert program in {"mcp-orchestrator", ".venv/bin/mcp-orchestrator"}, f"{file}: only our own commands are run"
    done = run(arguments)
    assert done.returncode == 0, done.stderr


def test_there_are_examples():
    assert len(list(console_lines())) >= 4
    assert {path.stem for path in CONFIGS} >= {"minimal", "quickstart", "everything", "team"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_that_we_ship_loads(path, tmp_state, monkeypatch):
    # a reference without a default must be given
    for name in re.findall(r"\$\{(?:env:|secret:env/)(\w+)\}", path.read_text()):
        monkeypatch.setenv(name, "for-this-test")
    done = run(["check", "--config", str(path)])
    assert done.returncode == 0, done.stdout + done.stderr
