"""Real agents behind the gateway: one delegates to another and back, asks people through it, and outlives it.

Claude Code 2.1.330 and Codex 0.169.0, offline, 2026-11-24.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
from a2a.client import ClientConfig, create_client
from a2a.types.a2a_pb2 import CancelTaskRequest, ListTasksRequest, Message, Part, Role, SendMessageRequest, TaskState
from agent_hosts import Gateway, environment
from run_suite import free_ports

from mcp_orchestrator.testing.http_client import HttpClient
from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

pytestmark = pytest.mark.real

PROGRAM = str(Path(sys.executable).with_name("mcp-orchestrator"))
CODEX_HOME = """
model = "scripted"
model_provider = "scripted"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
apps = false
remote_plugin = false
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""
QUIET = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING")


class Fleet:
    """A gateway with Claude Code and Codex as its agents, each with a model that plays a script."""

    def __init__(self, directory, claude, codex, claude_says=(), codex_says=(), *, a2a=False, **sections):
        self.directory = directory
        self.repository = directory / "repository"
        self.models = {"claude": ScriptedModel(claude_says), "codex": ScriptedModel(codex_says)}
        self.port, self.a2a_port = free_ports(2)
        self._face = {"a2a": {"port": self.a2a_port}} if a2a else {}
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.config = directory / "orchestrator.yaml"
        self._programs = {"claude": str(claude), "codex": str(codex)}
        self._sections = sections
        self._gateway = None

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        for model in self.models.values():
            self._stack.enter_context(model)
        self.repository.mkdir()
        (self.repository / "a.txt").write_text("one\n")
        for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
            self.git(*arguments)
        codex_home = self.directory / "codex"
        codex_home.mkdir()
        (codex_home / "config.toml").write_text(CODEX_HOME.format(url=self.models["codex"].url))
        claude_env = {
            "ANTHROPIC_BASE_URL": self.models["claude"].url,
            "ANTHROPIC_API_KEY": "test-key",
            "CLAUDE_CONFIG_DIR": str(self.directory / "claude"),
            **dict.fromkeys(QUIET, "1"),
        }
        codex_env = {"CODEX_HOME": str(codex_home), "SCRIPTED_KEY": "test-key"}
        sections = {
            "agents": {
                "claude": {"kind": "claude-code", "command": [self._programs["claude"]], "env": claude_env},
                "codex": {"kind": "codex", "command": [self._programs["codex"]], "env": codex_env},
            },
            "delegation": {"roots": [str(self.repository)]},
            "listeners": {"http": {"host": "127.0.0.1", "port": self.port}, **self._face},
            "storage": {"url": f"sqlite:///{self.directory / 'state.db'}"},
            **self._sections,
        }
        self.config.write_text(json.dumps(sections))
        self.start()
        return self

    def __exit__(self, *failure):
        self.stop(signal.SIGTERM)
        self._stack.close()

    def git(self, *arguments):
        who = {f"GIT_{one}_{part}": "t@t" for one in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        subprocess.run(
            ["git", *arguments], cwd=self.repository, env={**os.environ, **who}, check=True, capture_output=True
        )

    def start(self):
        log = self._stack.enter_context((self.directory / "gateway.log").open("a"))
        self._gateway = subprocess.Popen(
            [PROGRAM, "serve", "--config", str(self.config)], stderr=log, env=environment(self.directory / "home")
        )
        self.client = HttpClient(self.url)
        self.until(self._answers, 30)

    def _answers(self):
        try:
            self.client.request("tools/list")
        except OSError:
            return False
        return True

    def stop(self, number):
        if self._gateway.poll() is None:
            self._gateway.send_signal(number)
        self._gateway.wait(30)

    def until(self, holds, seconds=60):
        """Wait for something that other processes bring about."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = holds()
            if found:
                return found
            time.sleep(0.05)
        log = (self.directory / "gateway.log").read_text()[-2000:]
        raise AssertionError(f"it did not come about within {seconds} s; the gateway said:\n{log}")

    def call(self, tool, **arguments):
        return self.client.call(tool, **arguments)["structuredContent"]

    def status(self, run):
        return self.call("run_status", run=run)

    def command(self, *arguments):
        """What the command line prints, as JSON."""
        done = subprocess.run(
            [PROGRAM, *arguments, "--config", str(self.config), "--format", "json"],
            capture_output=True, text=True, check=True, timeout=60, env=environment(self.directory / "home"),
        )  # fmt: skip
        return json.loads(done.stdout)


@pytest.fixture
def fleet(tmp_path, claude_program, codex_program):
    """Makes fleets: `fleet(claude_says=[...], codex_says=[...], **sections)`; another one needs a `place` of its own."""
    with contextlib.ExitStack() as stack:

        def make(place=".", **options):
            directory = tmp_path / place
            directory.mkdir(exist_ok=True)
            return stack.enter_context(Fleet(directory, claude_program, codex_program, **options))

        yield make


def delegating(**arguments):
    return Turn("I hand this on.", [ToolUse("delegate", arguments)])


MAKES_IT = """python3 -c "open('made.txt', 'w').close()\""""
READS_IT = [Turn("I look.", [ToolUse("exec_command", {"cmd": "cat a.txt"})]), Turn("It has one line.")]


def test_claude_code_delegates_to_codex_and_goes_on_with_the_answer(fleet):
    made = fleet(
        claude_says=[delegating(task="what is in a.txt?", agent="codex"), Turn("Codex says: one line.")],
        codex_says=READS_IT,
    )
    shown = made.call("delegate", task="ask codex", agent="claude", workspace=str(made.repository), wait=60)
    assert (shown["status"], shown["text"].splitlines()[-1]) == ("completed", "Codex says: one line.")
    told = json.loads(made.models["claude"].seen[-1].results["call_0_0"])
    assert (told["agent"], told["status"], told["text"]) == ("codex", "completed", "It has one line.")
    assert told["cost"] == {"usd": None, "source": "unmeasured"}
    child = made.command("runs", "show", told["run"])["events"]
    accepted = next(one["data"] for one in child if one["kind"] == "delegation.accepted")
    assert (accepted["parent"], accepted["depth"]) == (shown["run"], 2)
    tools = [one["data"] for one in child if one["kind"] == "agent.event" and one["data"]["type"] == "tool"]
    assert any("one\\n" in json.dumps(tool.get("output", "")) for tool in tools), "it saw its caller's files"


def test_codex_delegates_to_claude_code(fleet):
    made = fleet(
        codex_says=[delegating(task="greet", agent="claude"), Turn("Claude says hello.")],
        claude_says=[Turn("hello")],
    )
    shown = made.call("delegate", task="ask claude", agent="codex", wait=60)
    assert (shown["status"], shown["text"].splitlines()[-1]) == ("completed", "Claude says hello.")


def test_a_permission_is_answered_by_somebody_else_than_the_client_that_waits(fleet):
    made = fleet(claude_says=[Turn("I make it.", [ToolUse("Bash", {"command": MAKES_IT})]), Turn("Made.")])
    shown = made.call("delegate", task="make it", agent="claude", workspace=str(made.repository), mode="write", wait=60)
    assert shown["status"] == "input_required"
    question = shown["question"]
    assert MAKES_IT in question["message"], "the exact command is shown"
    (waiting,) = made.command("runs", "show", shown["run"])["questions"]
    assert waiting["question"] == question["id"]
    made.command("runs", "answer", shown["run"], question["id"], "accept", "--option", question["options"][0])
    ended = made.until(lambda: (one := made.status(shown["run"]))["status"] == "completed" and one)
    assert [(one["path"], one["change"]) for one in ended["changes"]["files"]] == [("made.txt", "add")]
    assert not (made.repository / "made.txt").exists()
    assert made.call("run_apply", run=shown["run"])["applied"] == ["made.txt"]
    assert (made.repository / "made.txt").exists()


def test_a_refused_permission_keeps_the_command_from_being_run(fleet):
    made = fleet(claude_says=[Turn("I make it.", [ToolUse("Bash", {"command": MAKES_IT})]), Turn("Not made.")])
    shown = made.call("delegate", task="make it", agent="claude", workspace=str(made.repository), mode="write", wait=60)
    made.call("run_answer", run=shown["run"], action="decline")
    ended = made.until(lambda: (one := made.status(shown["run"]))["status"] == "completed" and one)
    assert ended["changes"]["files"] == []


@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_what_a_server_asks_an_agent_crosses_the_gateway_twice_and_reaches_a_person(fleet, hotels, agent):
    room = os.urandom(4).hex()
    booking = [Turn("I book.", [ToolUse("old__book", {"room": room})]), Turn("Booked.")]
    made = fleet(**{f"{agent}_says": booking}, mcpServers=hotels.servers, limits={"listWait": "30s"})
    shown = made.call("delegate", task="book", agent=agent, wait=60)
    run = shown["run"]

    def form():
        """The question of the server; the agent's own, for leave to use the tool at all, is answered on the way."""
        question = made.status(run).get("question")
        if question is not None and "options" in question:
            made.call("run_answer", run=run, option=question["options"][0])
            return None
        return question

    question = made.until(form)
    assert "guest" in question["schema"]["properties"]
    made.call("run_answer", run=run, content={"guest": "ada", "nights": 2})
    ended = made.until(lambda: (one := made.status(run))["status"] == "completed" and one)
    assert ended["text"].splitlines()[-1] == "Booked."
    assert hotels.booked("old", room)["content"] == {"guest": "ada", "nights": 2, "breakfast": False}


@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_a_run_outlives_the_kill_of_its_gateway_in_the_agents_own_session(fleet, agent):
    slow = "sleep 30; echo done" if agent == "claude" else "sleep 30"
    tool = ToolUse("Bash", {"command": slow}) if agent == "claude" else ToolUse("exec_command", {"cmd": slow})
    made = fleet(**{f"{agent}_says": [Turn("This takes long.", [tool]), Turn("Finished.")]})
    shown = made.call("delegate", task="take long", agent=agent, wait=0)
    run = shown["run"]

    def busy():
        one = made.status(run)
        if one["status"] == "input_required":
            made.call("run_answer", run=run, option=one["question"]["options"][0])
        return one.get("session") and any(tool["kind"] == "shell" for tool in one.get("tools", ())) and one

    session = made.until(busy)["session"]
    made.stop(signal.SIGKILL)
    made.start()
    ended = made.until(lambda: (one := made.status(run))["status"] not in {"working", "queued"} and one)
    assert ended["status"] == "completed", ended
    assert ended["session"] == session
    kinds = [one["kind"] for one in made.command("runs", "show", run)["events"]]
    assert kinds.count("delegation.accepted") == 1
    assert kinds.count("delegation.started") == 2
    assert kinds.count("delegation.ended") == 1


def test_doctor_and_backends_list_tell_of_agents(fleet):
    made = fleet()
    agents = {one["name"]: one for one in made.command("backends", "list")}
    assert agents["claude"]["facts"]["version"].startswith("2.1.")
    assert agents["codex"]["facts"]["found"]
    assert agents["codex"]["facts"]["can"]["resume"]
    assert Path(made.command("backends", "show", "claude")["facts"]["command"]).name == "claude"


ESCALATES = [
    Turn("I need more.", [ToolUse("exec_command", {
        "cmd": "true", "sandbox_permissions": "require_escalated", "justification": "it is needed",
    })]),
    Turn("Allowed or not, done."),
]  # fmt: skip


def test_the_person_at_claude_code_is_asked_what_codex_behind_the_gateway_may_do(fleet, claude_code):
    made = fleet(codex_says=ESCALATES)
    script = [delegating(task="x", agent="codex", workspace=str(made.repository), mode="write"), Turn("So be it.")]
    with ScriptedModel(script) as model:
        agent = claude_code(model, Gateway(url=made.url))
        told = agent.hosted(lambda _question: {"action": "accept", "content": {"decision": "accept"}})
        (question,) = told.questions
        assert "codex wants to run a command" in question["message"]
        assert "it is needed" in question["message"]
        shown = json.loads(model.seen[-1].results["call_0_0"])
    assert (shown["status"], shown["text"]) == ("completed", "Allowed or not, done.")
    assert [tool["status"] for tool in shown["tools"]] == ["completed"]
    assert told.end["result"] == "So be it."


def test_the_person_at_codex_is_asked_what_claude_code_behind_the_gateway_may_do(fleet, codex):
    made = fleet(claude_says=[Turn("I make it.", [ToolUse("Bash", {"command": MAKES_IT})]), Turn("Made.")])
    script = [delegating(task="x", agent="claude", workspace=str(made.repository), mode="write"), Turn("So be it.")]
    with ScriptedModel(script) as model:
        told = codex(model, Gateway(url=made.url)).hosted(
            lambda _question: {"action": "accept", "content": {"decision": "allow"}}
        )
        (question,) = told.questions
        assert MAKES_IT in question["message"]
        assert '"path":"made.txt"' in json.dumps(model.seen[-1].results["call_0_0"]).replace("\\", "")


def test_claude_code_without_a_person_leaves_the_question_to_others(fleet, claude_code):
    """`claude -p` declares that it can be asked, and dismisses every question unseen: that decides nothing."""
    made = fleet(codex_says=ESCALATES)
    script = [delegating(task="x", agent="codex", workspace=str(made.repository), mode="write"), Turn("It waits.")]
    with ScriptedModel(script) as model:
        assert claude_code(model, Gateway(url=made.url)).alone().end["result"] == "It waits."
        shown = json.loads(model.seen[-1].results["call_0_0"])
    assert shown["status"] == "input_required"
    assert shown["question"]["answerWith"].startswith("run_answer")
    made.call("run_answer", run=shown["run"], option="accept")
    ended = made.until(lambda: (one := made.status(shown["run"]))["status"] == "completed" and one)
    assert [tool["status"] for tool in ended["tools"]] == ["completed"]


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_the_client_of_the_a2a_sdk_gives_real_codex_a_task_and_answers_what_it_asks(fleet, binding):
    made = fleet(codex_says=ESCALATES, a2a=True)

    def message(text, task=""):
        said = Message(message_id=text, role=Role.ROLE_USER, parts=[Part(text=text)], task_id=task)
        request = SendMessageRequest(message=said)
        if not task:
            request.metadata.update({"mcp_orchestrator": {"workspace": str(made.repository), "mode": "write"}})
        return request

    async def talk():
        address = f"http://127.0.0.1:{made.a2a_port}/agents/codex"
        client = await create_client(address, ClientConfig(supported_protocol_bindings=[binding]))
        first = [event async for event in client.send_message(message("begin"))]
        task = first[0].task.id
        assert first[-1].status_update.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert "codex wants to run a command" in first[-1].status_update.status.message.parts[0].text
        more = [event async for event in client.send_message(message("option:accept", task))]
        assert {event.task.id or event.status_update.task_id or event.artifact_update.task_id for event in more} == {
            task
        }
        assert more[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
        texts = [part.text for event in more for part in event.artifact_update.artifact.parts]
        assert texts == ["Allowed or not, done."]
        asking = [event async for event in client.send_message(message("again"))]
        again = asking[0].task.id
        stopped = await client.cancel_task(CancelTaskRequest(id=again))
        assert stopped.status.state == TaskState.TASK_STATE_CANCELED
        listed = await client.list_tasks(ListTasksRequest())
        assert [one.id for one in listed.tasks] == [again, task]
        await client.close()
        return task, again

    task, again = anyio.run(talk)
    runs = {one["run"]: (one["status"], one["call"]["name"]) for one in made.command("runs", "list")["runs"]}
    assert runs == {task: ("completed", "delegate"), again: ("cancelled", "delegate")}


def test_a_task_of_another_gateway_is_rejoined_after_a_kill_and_not_begun_twice(fleet):
    far = fleet(place="far", codex_says=[Turn("Slow.", [ToolUse("exec_command", {"cmd": "sleep 6"})]), Turn("Slept.")],
        a2a=True)  # fmt: skip
    agents = {"far": {"kind": "a2a", "url": f"http://127.0.0.1:{far.a2a_port}/agents/codex"}}
    near = fleet(place="near", agents=agents)
    run = near.call("delegate", task="sleep", agent="far", wait=0)["run"]
    near.until(lambda: far.models["codex"].seen)
    near.stop(signal.SIGKILL)
    near.start()
    ended = near.until(lambda: (one := near.status(run))["status"] not in {"working", "queued"} and one)
    assert (ended["status"], ended["text"].splitlines()[-1]) == ("completed", "Slept.")
    assert "warnings" not in ended, "nobody misses the tools of the gateway: an agent elsewhere is not given them"
    assert len(far.call("run_list")["runs"]) == 1
    kinds = [one["kind"] for one in near.command("runs", "show", run)["events"]]
    assert [kinds.count(f"delegation.{one}") for one in ("accepted", "started", "ended")] == [1, 2, 1]


@pytest.mark.parametrize("acp_agent", ["gemini"], indirect=True)
def test_an_acp_agent_works_through_the_whole_gateway(fleet, acp_agent):
    command = acp_agent.shell("echo two >> a.txt")
    model = ScriptedModel([Turn("I add.", [command]), Turn("Added.")])
    row = acp_agent.spec(model.url)
    env = {name: value if isinstance(value, str) else value.reveal() for name, value in row.env}
    agents = {"other": {"kind": "acp", "command": list(row.command), "env": env, "startTimeout": "60s", **row.settings}}
    with model:
        made = fleet(agents=agents)
        place = {"workspace": str(made.repository), "mode": "write"}
        shown = made.call("delegate", task="add two", agent="other", wait=60, **place)
        assert "echo two >> a.txt" in shown["question"]["message"]
        made.call("run_answer", run=shown["run"], option=shown["question"]["options"][0])
        ended = made.until(lambda: (one := made.status(shown["run"]))["status"] == "completed" and one)
        assert ended["text"].splitlines()[-1] == "Added."
        assert made.call("run_apply", run=shown["run"])["applied"] == ["a.txt"]
    assert (made.repository / "a.txt").read_text() == "one\ntwo\n"
