import re

import pytest

from mcp_orchestrator.backends.agent_script import STEPS, ScriptError, read_script


@pytest.fixture
def read(tmp_path):
    """Reads a script from its text."""

    def read(text, name="script.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_script(path)

    return read


def test_a_list_of_steps_is_a_script_of_one_turn_that_is_played_again(read):
    script = read("- say: hello\n- end\n")
    assert [step.kind for step in script.turn(1)] == ["say", "end"]
    assert script.turn(7) == script.turn(1)


def test_turns_are_counted_from_one_and_the_last_is_played_again(read):
    script = read("model: toy\nturns:\n  - [say: one]\n  - [say: two]\n")
    assert [script.turn(number)[0].value for number in (1, 2, 3)] == ["one", "two", "two"]
    assert script.model == "toy"


def test_what_is_played_when_a_session_is_taken_up_again_may_be_named(read):
    assert read("turns: [[say: one]]\nresumed: [say: again]").resumed[0].value == "again"
    assert read("turns: [[say: one]]").resumed is None


def test_a_script_may_be_json(read):
    assert read('[{"say": "hello"}, {"pause": 1.5}]', "script.json").turn(1)[1].value == 1.5


def test_what_follows_an_answer_is_read_with_it(read):
    step = read(
        "- ask: {permission: {what: run it, details: make, options: {once: this once, no: never}}}\n"
        "  then:\n    once: [say: yes]\n    else: [crash]\n"
    ).turn(1)[0]
    assert {word: steps[0].kind for word, steps in step.then.items()} == {"once": "say", "else": "crash"}


WRONG = {
    "": ":1:1: a script is a list",
    "say: x": ":1:1: no key 'say' here; there are: turns, resumed, model",
    "turns: []": ":1:1: turns must be a list",
    "- shout: x": ":1:3: a step is one of say, .*; this has 'shout'",
    "- say: x\n  think: y": ":1:3: a step is one of .*; this has 'say', 'think'",
    "- say: 3": ":1:8: say takes a text",
    "- hello": ":1:3: a step is one of",
    "- say: x\n- write: {path: a}": ":2:10: write takes {path, text",
    "- write: {path: a, text: b, mode: 3}": "write takes {path, text",
    "- end: {status: done}": ":1:8: end takes .* with status completed, failed",
    "- tool: {name: x, status: done}": "tool takes .* with status pending",
    "- end\n- say: late": ":2:1: nothing can follow end in line 1",
    "- say: x\n  then: {accept: []}": ":2:3: then belongs to ask alone",
    "- ask: {form: {message: m, schema: {}}, url: {message: m, url: u}}": "ask takes one of",
    "- ask: {form: {message: m}}": "ask takes one of",
    "- ask: {permission: {what: w, details: d, options: {}}}": "ask takes one of",
    "- ask: {form: {message: m, schema: {}}}\n  then: {once: []}": ":2:10: no answer 'once'; there are: accept",
    "- use: {input_tokens: -1}": "use takes",
    "- crash: no": "crash takes true",
    "- plan: [{a: b, c: d}]": "plan takes",
    "- say: [": "a quote or bracket is not closed",
    "- say: a\n  say: b": "'say' is there already, in line 1",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_place(read, text):
    with pytest.raises(ScriptError, match=re.escape("script.yaml") + ".*" + WRONG[text]):
        read(text)


def test_a_file_that_cannot_be_read_is_told(read, tmp_path):
    with pytest.raises(ScriptError, match=r"nowhere\.yaml: cannot be read"):
        read_script(tmp_path / "nowhere.yaml")
    with pytest.raises(ScriptError, match="not UTF-8"):
        read(b"- say: \xff")


def test_every_step_has_its_heading_in_the_reference_and_what_it_shows_can_be_played(read, request):
    text = (request.config.rootpath / "docs" / "reference" / "agent-script.md").read_text()
    assert set(re.findall(r"(?m)^### `(\w+)`$", text)) == set(STEPS)
    examples = re.findall(r"(?ms)^```text\n(.*?)^```$", text)
    assert examples
    for example in examples:
        assert read(example).turns
