import asyncio
import json
import signal
import sys
from pathlib import Path

import anyio
import pytest
from agent_kit import place

from mcp_orchestrator.backends.cli_harness import LONGEST_ARGUMENT, create
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentSpec,
    EndStatus,
    Text,
    TroubleKind,
    Turn,
    Used,
    Warned,
)
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

pytestmark = pytest.mark.anyio

PROGRAM = str(Path(__file__).parents[1] / "peers" / "played_cli.py")
ARGS = "args: [--do, '{prompt}', [--model, '{model}'], [--schema, '{schema_file}']]\n"
RESUME = "resume: [--again, '{session}', '{prompt}']\n"
TEXT = f"output: text\n{ARGS}"
JSONL = f"""output: jsonl
{ARGS}{RESUME}env: [KEPT]
set: {{OWN: '1'}}
modes: {{read: [--read-only], write: [--yolo]}}
events:
  - {{session: sid}}
  - {{where: {{type: text}}, text: text}}
  - {{where: {{type: use}}, usage: {{input: in, cost: usd}}}}
  - {{where: {{type: error}}, error: message}}
  - {{where: {{type: end}}, done: true, ok: {{ok: true}}}}
"""
END = {"type": "end", "ok": True}


class Cli:
    """A program that plays a script, by a profile."""

    def __init__(self, directory, reaper, profile, steps, **spec):
        self._script, self.noted = directory / "script.json", directory / "noted.jsonl"
        self.plays(*steps)
        (directory / "profile.yaml").write_text(profile)
        command = spec.pop("command", (sys.executable, PROGRAM, str(self._script), str(self.noted)))
        settings = {"profile": "./profile.yaml"}
        self.spec = AgentSpec(
            "tool", AgentKind.CLI, command, settings=settings, base=directory, where="o.yaml:5", **spec
        )
        self.backend = create(self.spec, reaper)

    def plays(self, *steps):
        self._script.write_text(json.dumps(steps))

    def seen(self):
        return [json.loads(line) for line in self.noted.read_text().splitlines()]


@pytest.fixture
def cli(tmp_path, reaper):
    return lambda profile, *steps, **spec: Cli(tmp_path, reaper, profile, steps, **spec)


async def done(session, talk=None, prompt="paint it", **turn):
    with anyio.fail_after(20):
        return await session.turn(Turn(prompt, **turn), talk or FakeAgentTalk())


async def test_events_are_told_and_the_end_is_the_programs_own(cli, tmp_path):
    made = cli(JSONL, {"type": "text", "text": "hi", "sid": "s1"}, {"type": "use", "in": 5, "usd": 0.01}, END)
    session, talk = await made.backend.open(place(tmp_path)), FakeAgentTalk()
    ended = await done(session, talk)
    assert (ended.status, ended.text, ended.usage.cost) == (EndStatus.COMPLETED, "hi", 10_000)
    assert talk.of(Text) == [Text("hi", "m1")]
    assert talk.of(Used)
    assert talk.bindings == [("s1", None)]
    assert session.native == "s1"


async def test_it_gets_its_arguments_and_only_the_variables_of_its_profile(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("DROPPED", "1")
    made = cli(JSONL, END, model="m1")
    await done(await made.backend.open(place(tmp_path)), schema={"type": "object"})
    (seen,) = made.seen()
    schema = str(tmp_path / "scratch" / "output-schema.json")
    assert seen["argv"] == ["--yolo", "--do", "paint it", "--model", "m1", "--schema", schema]
    assert json.loads((tmp_path / "scratch" / "output-schema.json").read_text()) == {"type": "object"}
    assert {"KEPT", "OWN", "TMPDIR"} <= set(seen["env"])
    assert "DROPPED" not in seen["env"]
    assert seen["stdin"] == ""


async def test_it_says_what_it_cannot_do(cli, tmp_path):
    talk = FakeAgentTalk()
    await done(await cli(TEXT, "hi").backend.open(place(tmp_path, AgentMode.READ)), talk)
    said = " ".join(warned.text for warned in talk.of(Warned))
    for words in ("cannot ask", "no way to be kept from writing", "tools of the gateway", "judged by its text"):
        assert words in said
    talk = FakeAgentTalk()
    made = cli(JSONL, END)
    await done(await made.backend.open(place(tmp_path, AgentMode.READ)), talk)
    assert "kept from writing" not in " ".join(warned.text for warned in talk.of(Warned))
    assert made.seen()[-1]["argv"][0] == "--read-only"


async def test_a_task_may_come_on_standard_input(cli, tmp_path):
    made = cli("output: text\nprompt: stdin\nargs: [-q]", "hi")
    await done(await made.backend.open(place(tmp_path)), prompt="x" * 300_000)
    assert made.seen()[0]["stdin"] == "x" * 300_000 + "\n"


async def test_a_task_that_is_too_long_for_an_argument_is_refused(cli, tmp_path):
    session = await cli(TEXT, "hi").backend.open(place(tmp_path))
    ended = await done(session, prompt="ö" * (LONGEST_ARGUMENT // 2 + 1))
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.INVALID)


async def test_a_second_turn_and_a_new_process_take_the_session_up_again(cli, tmp_path):
    made = cli(JSONL, {"type": "text", "text": "hi", "sid": "s 1"}, END)
    session = await made.backend.open(place(tmp_path))
    await done(session)
    await done(session, prompt="more")
    await done(await made.backend.open(place(tmp_path, resume="s 1")), prompt="and more")
    assert [seen["argv"][1:] for seen in made.seen()[1:]] == [
        ["--again", "s 1", "more"],
        ["--again", "s 1", "and more"],
    ]


async def test_a_program_that_keeps_its_session_itself_gets_a_name_for_it(cli, tmp_path):
    made = cli(TEXT + "resume: [--restore, '{prompt}']\n", "hi")
    session, talk = await made.backend.open(place(tmp_path)), FakeAgentTalk()
    await done(session, talk)
    assert talk.bindings == [(session.native, None)]
    await done(session, talk, prompt="more")
    assert made.seen()[1]["argv"] == ["--restore", "more"]


async def test_a_session_that_cannot_be_taken_up_is_refused(cli, tmp_path):
    made = cli(TEXT, "hi")
    with pytest.raises(BackendError, match=r"agent tool: .* cannot take up a session again \(o.yaml:5\)"):
        await made.backend.open(place(tmp_path, resume="s1"))
    talk = FakeAgentTalk()
    await done(await made.backend.open(place(tmp_path)), talk)
    assert talk.bindings == []


async def test_text_and_exit_code_0_are_told_as_the_only_evidence(cli, tmp_path):
    ended = await done(await cli(TEXT, "all", "done").backend.open(place(tmp_path)))
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "all\ndone")
    assert "tells no end of its own" in ended.evidence


@pytest.mark.parametrize(
    ("profile", "steps", "end"),
    [
        (TEXT, [], (EndStatus.UNKNOWN, TroubleKind.SILENT)),
        (JSONL, [{"type": "text", "text": "hi"}], (EndStatus.UNKNOWN, TroubleKind.PROTOCOL)),
        (JSONL, [END], (EndStatus.UNKNOWN, TroubleKind.SILENT)),
        (JSONL, [{"type": "error", "message": "HTTP 401"}], (EndStatus.FAILED, TroubleKind.AUTH)),
        (JSONL, [{"type": "end", "ok": False}], (EndStatus.FAILED, TroubleKind.INTERNAL)),
        (TEXT, ["hi", ["error", "rate limit"], ["exit", 1]], (EndStatus.FAILED, TroubleKind.RATE)),
        (TEXT, ["hi", ["signal", int(signal.SIGKILL)]], (EndStatus.UNKNOWN, TroubleKind.CRASH)),
        (JSONL, ["no JSON", {"type": "text", "text": "hi"}, END], (EndStatus.COMPLETED, None)),
        (JSONL, [["huge", 33 * 1024 * 1024], {"type": "text", "text": "hi"}, END], (EndStatus.COMPLETED, None)),
    ],
)
async def test_ends_are_judged_by_evidence(cli, tmp_path, profile, steps, end):
    talk = FakeAgentTalk()
    ended = await done(await cli(profile, *steps).backend.open(place(tmp_path)), talk)
    assert (ended.status, ended.trouble) == end
    odd = any(step == "no JSON" or (isinstance(step, list) and step[0] == "huge") for step in steps)
    assert odd == any(warned.kind == "protocol" for warned in talk.of(Warned))


async def test_a_program_that_does_not_exit_after_its_end_is_ended(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.backends.cli_harness.AFTER_END", 0.05)
    made = cli(JSONL, {"type": "text", "text": "hi"}, END, ["wait"])
    ended = await done(await made.backend.open(place(tmp_path)))
    assert (ended.status, ended.text) == (EndStatus.COMPLETED, "hi")


@pytest.mark.parametrize("close", [False, True])
async def test_a_turn_can_be_stopped(cli, tmp_path, close):
    session = await cli(JSONL, {"type": "text", "text": "hi"}, ["wait"]).backend.open(place(tmp_path))
    talk = FakeAgentTalk()
    turn = asyncio.ensure_future(done(session, talk))
    with anyio.fail_after(20):
        await talk.until(lambda: talk.of(Text))
        assert session.pid
        await (session.close() if close else session.interrupt())
    ended = await turn
    assert ended.status is (EndStatus.UNKNOWN if close else EndStatus.CANCELLED)
    assert ended.text == "hi"
    await session.close()
    assert await session.wait_closed() == "closed"


@pytest.mark.parametrize(
    ("profile", "command", "told"),
    [
        (
            f"{TEXT}install: install it with `get it`",
            ("no-such-program-x",),
            r"not on the PATH .*install it with `get it`",
        ),
        ("output: xml", ("x",), r"agent tool: its profile .*profile.yaml:1:1: .*\(o.yaml:5\)"),
        (TEXT, (), r"neither its profile nor its configuration names a command"),
    ],
)
async def test_what_cannot_be_started_is_told_when_a_session_is_opened(cli, tmp_path, profile, command, told):
    made = cli(profile, command=command)
    with pytest.raises(BackendError, match=told):
        await made.backend.open(place(tmp_path))
    facts = await made.backend.probe()
    assert not facts.found
    assert facts.notes


async def test_a_look_tells_version_abilities_and_limits(cli):
    made = cli(JSONL + "version: [--version]\nverified: '1.0.0'\n", "tool 2.3.4")
    facts = await made.backend.probe()
    assert (facts.found, facts.version, facts.verified) == (True, "2.3.4", "1.0.0")
    assert facts.can["resume"]
    assert facts.can["cost"]
    assert facts.can["read_only"]
    assert not facts.can["questions"]
    assert any("cannot ask" in note for note in facts.notes)
