"""A configuration with two real servers, the program as a child process, and a gateway that runs beside a test."""

import json
import signal
import subprocess
import sys
import threading

import pytest

PROGRAM = [sys.executable, "-m", "mcp_orchestrator"]
MODULE = "mcp_orchestrator.testing"


@pytest.fixture
def configured(tmp_path):
    """Makes a configuration file with the servers `notes` and `clock`; keyword arguments join or replace sections."""

    def make(**sections):
        servers = {name: {"command": sys.executable, "args": ["-m", f"{MODULE}.{name}"]} for name in ("notes", "clock")}
        document = {
            "mcpServers": servers | sections.pop("mcpServers", {}),
            "storage": {"url": f"sqlite:///{tmp_path}/state/state.db"},
            "listeners": {"http": {"port": 0}},
            "profiles": {"times": {"include": ["clock.*"]}},
            **sections,
        }
        path = tmp_path / "orchestrator.json"
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")
        return path

    return make


@pytest.fixture
def program(tmp_path, tmp_state):
    """Runs the program in the directory of the configuration, in a private home; returns what `subprocess.run` does."""

    def run(*words, **options):
        return subprocess.run(
            [*PROGRAM, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, **options
        )

    return run


class Served:
    """`serve --format json` as a child process: `events` are the lines it told, `url` its address."""

    def __init__(self, path, directory, *words):
        self.directory = directory
        self.events = []
        self._told = threading.Condition()
        self._over = False
        command = [*PROGRAM, "serve", "--config", str(path), "--format", "json", *words]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.wait_for("listening")["url"]

    def _read(self):
        with self.process.stderr as lines:
            for line in lines:
                with self._told:
                    self.events.append(json.loads(line))
                    self._told.notify_all()
        with self._told:
            self._over = True
            self._told.notify_all()

    def _find(self, event):
        return next((told for told in self.events if told.get("event") == event), None)

    def wait_for(self, event, seconds=20):
        with self._told:
            self._told.wait_for(lambda: self._over or self._find(event), seconds)
            found = self._find(event)
        if found is None:
            pytest.fail(f"no '{event}' in {self.events}", pytrace=False)
        return found

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(20)
        return code


@pytest.fixture
def served(tmp_path, tmp_state):
    """Starts `serve` on a configuration and waits for its address; whatever still runs at the end is killed."""
    started = []

    def start(path, *words):
        started.append(Served(path, tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)
