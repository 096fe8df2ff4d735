"""What documents show is carried out, and configurations that they hold or that we ship are loaded."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_orchestrator.core.wire.versions import LATEST_LEGACY

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?ms)^( *)```(\w+)\n(.*?)^\1```$")
BINARIES = [str(Path(sys.executable).parent), str(ROOT / ".cache" / "peers" / "bin")]  # the quickstart's servers
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

OURS = {"mcp-orchestrator", ".venv/bin/mcp-orchestrator"}
# What a test cannot carry out, and who does.
ELSEWHERE = {
    "scripts/serve": ".ci/run starts it and calls a tool through it",
    "scripts/check": ".ci/run carries it out; from here it would call itself",
    "scripts/test": ".ci/run carries it out; it is what carries out this file",
    ".venv/bin/python tests/conformance/run_suite.py": "tests/conformance runs the suite that way",
    "claude mcp add": "needs Claude Code and an account; the endpoint that it is given is what .ci/run calls",
}


@dataclass(frozen=True)
class Block:
    """One code block of a document."""

    file: str
    language: str
    code: str

    def __str__(self):
        return f"{self.file}: {self.code.strip().splitlines()[0][:60]}"


def blocks(*languages):
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        for indent, language, code in BLOCK.findall(path.read_text()):
            if language in languages:
                yield Block(str(path.relative_to(ROOT)), language, re.sub(f"(?m)^{indent}", "", code))


def commands():
    """Every command that a document shows: `(file, command)`, once each."""
    found = set()
    for block in blocks("sh", "console"):
        for line in block.code.splitlines():
            if block.language == "console" and not line.startswith("$ "):
                continue
            command = shlex.join(shlex.split(line.removeprefix("$ "), comments=True))
            if command:
                found.add((block.file, command))
    return sorted(found)


def ours(command):
    return shlex.split(command)[0] in OURS


def run(arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "mcp_orchestrator", *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": os.pathsep.join([*BINARIES, os.environ["PATH"]])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def secrets_set(monkeypatch):
    """Sets every variable that a text refers to without a default."""

    def set_them(text):
        for name in re.findall(r"\$\{(?:env:|secret:env/)(\w+)\}", text):
            monkeypatch.setenv(name, "for-this-test")

    return set_them


@pytest.mark.parametrize(("file", "command"), [each for each in commands() if ours(each[1])])
@pytest.mark.real
def test_a_command_that_a_document_shows_works(file, command, tmp_state, tmp_path):
    """From the project's directory, or, when it speaks of the reader's own file, beside the smallest one we ship."""
    cwd = ROOT
    if "orchestrator.yaml" in command:
        cwd = tmp_path
        (tmp_path / "orchestrator.yaml").write_text((ROOT / "configs" / "minimal.yaml").read_text())
    done = run(shlex.split(command)[1:], cwd)
    assert done.returncode == 0, f"{file}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize(("file", "command"), [each for each in commands() if not ours(each[1])])
def test_a_command_of_another_program_is_one_that_is_carried_out_elsewhere(file, command):
    known = next((start for start in ELSEWHERE if command.startswith(start)), None)
    assert known, f"{file}: nobody carries out {command!r}"
    words = known.split()
    for word in words[:2]:
        if "/" in word:
            assert (ROOT / word).exists(), file
    if ".ci/run" in ELSEWHERE[known] and words[0].startswith("scripts/"):
        assert re.search(rf"(?m)^{re.escape(words[0])}( &)?$", (ROOT / ".ci" / "run").read_text())


def test_every_exception_is_still_shown_somewhere():
    shown = [command for _file, command in commands()]
    assert [start for start in ELSEWHERE if not any(command.startswith(start) for command in shown)] == []


def test_there_are_examples():
    assert len([command for _file, command in commands() if ours(command)]) >= 8
    assert {path.stem for path in CONFIGS} >= {"minimal", "quickstart", "everything", "team"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_that_we_ship_loads(path, tmp_state, secrets_set):
    secrets_set(path.read_text())
    done = run(["check", "--strict", "--config", str(path)])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [*blocks("yaml")], ids=str)
def test_a_configuration_in_a_document_loads(block, tmp_path, tmp_state, secrets_set):
    secrets_set(block.code)
    path = tmp_path / "orchestrator.yaml"
    path.write_text(block.code)
    done = run(["check", "--config", str(path)])
    assert done.returncode == 0, f"{block.file}: {done.stdout}{done.stderr}"


STARTED_BY_CLIENTS = [block for block in blocks("json") if '"command"' in block.code]


@pytest.mark.parametrize("block", STARTED_BY_CLIENTS, ids=str)
def test_what_a_client_is_told_to_start_answers_it(block, tmp_path, tmp_state):
    (server,) = json.loads(block.code)["mcpServers"].values()
    config = tmp_path / "orchestrator.yaml"
    config.write_text((ROOT / "configs" / "minimal.yaml").read_text())
    assert server["command"] == "/path/to/mcp-orchestrator/.venv/bin/mcp-orchestrator"
    arguments = [word.replace("/path/to/orchestrator.yaml", str(config)) for word in server["args"]]
    params = {"protocolVersion": LATEST_LEGACY, "capabilities": {}, "clientInfo": {"name": "reader", "version": "1"}}
    done = subprocess.run(
        [sys.executable, "-m", "mcp_orchestrator", *arguments],
        input=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[0])["result"]
    assert result["protocolVersion"] == LATEST_LEGACY
    assert result["serverInfo"]["name"] == "mcp-orchestrator"


def test_documents_show_how_a_client_starts_it():
    assert {block.file for block in STARTED_BY_CLIENTS} == {"README.md", "docs/guides/connect-clients.md"}
