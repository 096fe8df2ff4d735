import json

import pytest

from mcp_orchestrator.backends.cli_profiles import find_profile, read_profile
from mcp_orchestrator.backends.cli_reading import Reader
from mcp_orchestrator.model.agent import (
    AgentUsage,
    CostSource,
    FileChange,
    Started,
    Text,
    Thought,
    ToolStatus,
    ToolUse,
    Used,
    Warned,
)

EVENTS = """
output: jsonl
args: ['{prompt}']
events:
  - {session: sid}
  - {where: {type: init}, model: model}
  - {where: {type: text}, text: text}
  - {where: {type: delta}, text: text, piece: true}
  - {where: {type: thought}, thought: text}
  - {where: {type: file}, file: path}
  - {where: {type: note}, warning: text}
  - where: {type: tool}
    tool: {id: id, name: name, input: in, output: out, status: state, statuses: {ok: completed}, kinds: {Bash: shell}, default: running}
  - {where: {type: step}, usage: {input: n.in, output: n.out, cost: usd, each: true}}
  - {where: {type: total}, usage: {input: n.in, cached: n.cached}}
  - {where: {type: error}, error: message}
  - {where: {type: result}, done: true, ok: {status: [success, fine]}, answer: result, structured: data}
"""


@pytest.fixture
def reader(tmp_path):
    """Reads by a profile; what is told goes to `said`."""

    def reader(profile=EVENTS):
        path = tmp_path / "p.yaml"
        path.write_text(profile)
        made = Reader(read_profile(path), lambda event, raw: made.said.append(event))
        made.said = []
        return made

    return reader


def feed(reader, *lines):
    for line in lines:
        reader.line(line.encode() if isinstance(line, str) else json.dumps(line).encode())
    reader.finish()
    return reader.said


def test_events_are_read_by_their_rules(reader):
    read = reader()
    said = feed(
        read,
        {"type": "init", "model": "m1", "sid": "s1"},
        {"type": "thought", "text": "hm"},
        {"type": "tool", "id": "1", "name": "Bash", "in": {"c": "ls"}},
        {"type": "tool", "id": "1", "name": "Bash", "state": "ok", "out": "a"},
        {"type": "tool", "id": "2", "name": "X", "state": "failed"},
        {"type": "tool", "name": "no id"},
        {"type": "file", "path": "a.txt"},
        {"type": "note", "text": "careful"},
        {"type": "unknown"},
    )
    assert said == [
        Started(session="s1", model="m1"),
        Thought("hm"),
        ToolUse("1", "Bash", "shell", status=ToolStatus.RUNNING, input={"c": "ls"}),
        ToolUse("1", "Bash", "shell", status=ToolStatus.COMPLETED, output="a"),
        ToolUse("2", "X", "other", status=ToolStatus.FAILED),
        FileChange("a.txt"),
        Warned("careful"),
    ]
    assert (read.found.session, read.found.calls) == ("s1", {"1", "2"})


def test_pieces_of_one_message_belong_together(reader):
    read = reader()
    said = feed(
        read,
        *(
            {"type": kind, "text": text}
            for kind, text in (("delta", "a"), ("delta", "b"), ("text", "c"), ("delta", "d"))
        ),
    )
    assert said == [Text("a", "m1", False), Text("b", "m1", False), Text("c", "m2"), Text("d", "m3", False)]
    assert read.found.text == "d", "the last message is the answer"


def test_usage_of_steps_is_added_up_and_a_total_replaces(reader):
    read = reader()
    step = {"type": "step", "n": {"in": 10, "out": "1.2k"}, "usd": 0.001}
    feed(read, step, step, {"type": "step", "n": {"in": "many"}})
    assert read.found.usage == AgentUsage(20, 2400, cost=2000, cost_source=CostSource.REPORTED)
    feed(read, {"type": "total", "n": {"in": 7, "cached": 3}})
    assert (read.found.usage.input_tokens, read.found.usage.cached_tokens) == (7, 3)


@pytest.mark.parametrize(("status", "end"), [("success", True), ("fine", True), ("error", False), (None, False)])
def test_the_event_for_the_end_tells_whether_it_was_one(reader, status, end):
    read = reader()
    feed(read, {"type": "text", "text": "x"}, {"type": "result", "status": status, "result": "done", "data": {"a": 1}})
    assert (read.found.end, read.found.text, read.found.structured) == (end, "done", {"a": 1})


def test_lines_that_are_no_events_are_skipped_and_told_of_five_times(reader):
    read = reader()
    said = feed(read, *["Banner!"] * 7, "[1]", {"type": "text", "text": "x"})
    assert [type(event) for event in said] == [Warned] * 5 + [Text]
    assert "further ones" in said[4].text
    assert read.found.bad == 8


def test_one_document_is_read_whole_over_several_lines(reader):
    profile = "output: json\nargs: ['{prompt}']\nevents: [{text: result, session: id, done: true, ok: {error: null}}]"
    read = reader(profile)
    feed(read, "{", '  "result": "hi", "id": "s"', "}")
    assert (read.found.text, read.found.session, read.found.end) == ("hi", "s", True)
    read = reader(profile)
    assert "no JSON object" in feed(read, "oops")[0].text
    read = reader(profile)
    feed(read, '[{"result": "a"}, {"result": "b", "error": "x"}]')
    assert (read.found.text, read.found.end) == ("b", False)


AIDER = """Aider v0.86.2
Main model: openai/gpt-4o with diff edit format
Weak model: gpt-4o-mini
Git repo: none
Repo-map: disabled
Sure.
hello.txt
```
hi there
```
Tokens: 1.9k sent, 5 received. Cost: $0.0048 message, $0.0048 session.
Applied edit to hello.txt""".splitlines()


def test_what_aider_writes_is_read(reader):
    """Output of aider 0.86.2, 2026-11-24."""
    read = reader()
    read._known = find_profile("aider", None)
    said = feed(read, *AIDER)
    assert read.found.text == "Sure.\nhello.txt\n```\nhi there\n```\nApplied edit to hello.txt"
    usage = AgentUsage(1900, 5, cost=4800, cost_source=CostSource.REPORTED, model="openai/gpt-4o")
    assert [event for event in said if isinstance(event, Used)] == [Used(usage)]
    assert FileChange("hello.txt") in said


def test_an_error_that_aider_gets_over_is_none(reader):
    error = "litellm.RateLimitError: RateLimitError: OpenAIException - scripted"
    retry = [
        error,
        "The API provider has rate limited you. Try again later or check your quotas.",
        "Retrying in 0.2 seconds...",
    ]
    read = reader()
    read._known = find_profile("aider", None)
    feed(read, *retry, "Hello.", "Tokens: 593 sent, 14 received.")
    assert (read.found.error, read.found.text) == ("", "Hello.")
    feed(read, *retry)
    assert read.found.error == error
    assert read.found.usage.cost is None
