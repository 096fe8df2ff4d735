import re

import pytest

from mcp_orchestrator.backends.cli_profiles import (
    ROWS,
    Line,
    Modes,
    Profile,
    ProfileError,
    Rule,
    Tool,
    Usage,
    filled,
    find_profile,
    read_profile,
    shipped,
)

GOOD = "output: text\ncommand: [x]\nargs: ['{prompt}']\n"


@pytest.fixture
def read(tmp_path):
    """Reads a profile from its text."""

    def read(text):
        path = tmp_path / "p.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_profile(path)

    return read


def test_every_shipped_profile_can_be_used_and_says_whether_it_was_tried():
    assert "aider" in shipped()
    for name in shipped():
        profile = find_profile(name, ROWS).profile
        assert profile.command
        assert profile.verified or any("has not been run" in note for note in profile.notes)
        assert profile.install


def test_a_profile_is_found_by_name_or_by_path(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert find_profile("mine.yaml", tmp_path).profile.command == ("x",)
    with pytest.raises(ProfileError, match="no profile 'mine'; there are: aider"):
        find_profile("mine", tmp_path)
    with pytest.raises(ProfileError, match="cannot be read"):
        find_profile("./no.yaml", tmp_path)


WRONG = {
    "- x": ":1:1: a profile is a mapping",
    "command: [x]": ":1:1: .*missing required field `output`",
    GOOD + "colour: red": ":1:1: .*unknown field `colour`",
    "output: xml": ":1:1: Invalid enum value 'xml'",
    "output: text\nargs: [x]": ":2:1: no argument holds {prompt}",
    GOOD + "resume: [x]": ":4:1: no argument holds {prompt}",
    "output: text\nargs: ['{prompt}', '{task}']": ":2:20: no placeholder {task}",
    "output: jsonl\nargs: ['{prompt}']": ":1:1: output jsonl needs events",
    GOOD + "events: [{text: a}]": ":4:1: events are for",
    "output: json\nargs: ['{prompt}']\nevents: [{text: a}]\nlines: [{match: a}]": ":4:1: lines are for",
    "output: jsonl\nargs: ['{prompt}']\nevents:\n  - text: a..b": ":4:5: 'a..b' is no path",
    "output: jsonl\nargs: ['{prompt}']\nevents:\n  - where: {'': 1}": ":4:5: a path must not be empty",
    "output: jsonl\nargs: ['{prompt}']\nevents:\n  - tool: {name: x}": ":4:5: .*missing required field `id`",
    GOOD + "lines:\n  - match: '('": ":5:5: match is no regular expression",
    GOOD + "lines:\n  - match: '(?P<age>x)'": ":5:5: no group 'age'",
    GOOD + "exits: {'3': late}": "Invalid enum value 'late'",
    GOOD + "output: json": ":4:1: 'output' is there already",
    "output: [": ":1:10: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_place(read, text):
    with pytest.raises(ProfileError, match=re.escape("p.yaml") + ".*" + WRONG[text]):
        read(text)


def test_a_file_that_is_too_large_or_no_text_is_refused(read):
    with pytest.raises(ProfileError, match="larger than"):
        read("#" * 300_000)
    with pytest.raises(ProfileError, match="not UTF-8"):
        read(b"\xff")


def test_a_command_line_is_filled_in_and_what_has_no_value_is_left_out():
    template = ("-p", "--task={prompt}", ("--model", "{model}"), ("--schema", "{schema_file}"))
    values = {"prompt": "{model} -x", "model": "m1", "schema_file": None}
    assert filled(template, values) == ["-p", "--task={model} -x", "--model", "m1"]


def test_a_profile_knows_whether_the_program_tells_its_end():
    assert not Profile(output="text").tells_its_end


def test_every_key_has_its_row_in_the_reference_and_what_it_shows_can_be_used(read, request):
    text = (request.config.rootpath / "docs" / "reference" / "cli-profile.md").read_text()
    rows = set(re.findall(r"(?m)^\| `(\w+)`", text))
    known = {name for kind in (Profile, Rule, Tool, Usage, Line, Modes) for name in kind.__struct_fields__}
    assert known - rows == set()
    examples = re.findall(r"(?ms)^```text\n(.*?)^```$", text)
    assert examples
    for example in examples:
        assert read(example).profile.args
