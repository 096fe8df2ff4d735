"""How agents are shown at the command line."""

import io

import pytest

from mcp_orchestrator.cli.agent_lines import HEADINGS, described, row, version
from mcp_orchestrator.cli.printing import Printer

LINE = {"name": "codex", "kind": "codex", "mode": "write", "labels": ["code"], "working": 2, "where": "c.yaml:3"}
FACTS = {
    "found": True, "version": "0.169.0", "verified": "0.168.0", "signed_in": False, "notes": ["sign in"], "start": 0.44,
    "models": ["gpt"], "modes": [], "can": {"resume": True, "fork": False}, "command": "/bin/codex",
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, "-"), ({"version": "1"}, "1"), ({"version": "1", "verified": "1"}, "1"),
        ({"version": "2", "verified": "1"}, "2 (tried with 1)"),
    ],
)  # fmt: skip
def test_a_version_beside_the_one_that_was_tried(facts, shown):
    assert version(facts) == shown


def test_a_row_says_what_is_known_and_that_the_rest_is_not():
    assert len(row(LINE)) == len(HEADINGS)
    assert row(LINE)[2:5] == ["not known", "-", "not known"]
    known = row({**LINE, "facts": FACTS})
    assert known[2:] == ["yes", "0.169.0 (tried with 0.168.0)", "no", "write", "code", "2", "sign in"]


def test_at_length_it_says_what_an_agent_can_and_cannot():
    text = described({**LINE, "facts": FACTS}, Printer(out=io.StringIO()))
    for line in (
        "can          resume",
        "cannot       fork",
        "start        0.4 s",
        "own modes    not known",
        "- sign in",
    ):
        assert line in text
    plain = described(LINE, Printer(out=io.StringIO()))
    assert "nothing that is known" in plain
    assert "not measured" in plain


def test_what_an_agent_says_of_itself_cannot_harm_a_terminal():
    text = described(
        {**LINE, "name": "a\x1b[2J", "facts": {"notes": ["\x1b]0;x\x07"], "command": "\x1b[1m"}},
        Printer(out=io.StringIO()),
    )
    assert "\x1b" not in text
