"""A house for scenarios of delegation: a repository, scripts of agents, a gateway process over them, and its clients."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gateway_kit import until, write_config

SHELL = str(Path(__file__).with_name("shell_agent.py"))
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
MAY_I = {"permission": {"what": "write", "details": "rm -rf build", "options": {"yes": "this once", "no": "never"}}}


def git(where, *arguments):
    """Standard output of one git command."""
    who = {f"GIT_{one}_{part}": "t@t" for one in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", *arguments], cwd=where, env={**os.environ, **who}, check=True, capture_output=True, text=True
    ).stdout


def repository(path, **files):
    """A repository with one commit."""
    path.mkdir(parents=True)
    for name, text in {"a.txt": "one\ntwo\nthree\n", **files}.items():
        (path / name).write_text(text)
    git(path, "init", "-q")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "first")
    return path


class House:
    """Scripts and configuration in one directory; `repo` is a repository that may be worked in."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.repo = repository(self.directory / "repo")
        self.agents = {}

    def agent(self, name, *steps, **keys):
        """An agent that plays these steps; JSON is YAML."""
        script = self.directory / f"{name}.json"
        script.write_text(json.dumps(list(steps)))
        self.agents[name] = {"kind": "scripted", "script": str(script), **keys}
        return self

    def shell(self, name, **keys):
        """An agent that is a process: its task is a shell command."""
        self.agents[name] = {"kind": "acp", "command": [sys.executable, SHELL], **keys}
        return self

    def config(self, servers=None, delegation=None, **sections):
        """Write the configuration; returns its path."""
        rules = {"roots": [str(self.directory)], "workspaces": str(self.directory / "ws"), **(delegation or {})}
        return write_config(self.directory, servers or {}, agents=self.agents, delegation=rules, **sections)

    def go(self, name):
        """Make the file that a script waits for."""
        (self.directory / name).touch()


class Desk:
    """A client that delegates, with what it is told in structured form."""

    def __init__(self, client):
        self.client = client

    async def tool(self, name, **arguments):
        """The whole result of one of the gateway's own tools."""
        response = await self.client.call(name, arguments)
        assert "result" in response, response
        return response["result"]

    async def shown(self, name, **arguments):
        """Its structured content."""
        return (await self.tool(name, **arguments))["structuredContent"]

    async def refused(self, name, **arguments):
        """The text of a refusal, as an error of the protocol or of the tool."""
        response = await self.client.call(name, arguments)
        if "error" in response:
            return response["error"]["message"]
        assert response["result"]["isError"], response
        return response["result"]["content"][0]["text"]

    async def begin(self, agent, task="do it", **arguments):
        """Delegate and do not wait; returns the run."""
        return (await self.shown("delegate", agent=agent, task=task, wait=0, **arguments))["run"]

    async def status(self, run, wait=0):
        """How a run stands."""
        return await self.shown("run_status", run=run, wait=wait)

    async def ended(self, run, seconds=20):
        """How a run stands at its end."""
        shown = await self.status(run, seconds)
        assert shown["status"] not in {"working", "queued", "input_required"}, shown
        return shown


def kinds(gateway, run):
    """How often each kind of event is in the journal for a run."""
    with gateway.journal() as journal:
        return Counter(event.kind for event in journal.run(run))


def agent_events(gateway, run, word):
    """The data of an agent's events of one type, in order."""
    with gateway.journal() as journal:
        return [event.data for event in journal.run(run) if event.data.get("type") == word]


async def told(gateway, run, kind, times=1):
    """Wait until the journal has a kind of event for a run."""
    await until(lambda: kinds(gateway, run)[kind] >= times)
