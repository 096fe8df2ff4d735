"""The documents say what is there, and what is there is in the documents."""

import json
import re
import subprocess
import sys

import pytest

from mcp_orchestrator.model.event import EventKind


def headings(path):
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text())
    return re.findall(r"(?m)^#+ (.+)$", text)


def test_the_first_screen_of_the_readme_shows_the_two_commands(root):
    screen = "\n".join((root / "README.md").read_text().splitlines()[:30])
    for needed in ("scripts/serve", "scripts/test", "http://127.0.0.1:8808/mcp", "claude mcp add --transport http"):
        assert needed in screen


def test_agents_md_is_short_enough_to_be_read_at_every_start(root):
    assert len((root / "AGENTS.md").read_text().splitlines()) < 60


def test_generated_documents_are_fresh_and_links_lead_somewhere(root):
    done = subprocess.run(
        [sys.executable, str(root / "scripts" / "docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_event_has_its_heading(root):
    found = " ".join(headings(root / "docs" / "reference" / "events.md"))
    assert [kind.value for kind in EventKind if kind.value not in found] == []


def test_every_exit_code_has_its_heading(root):
    exits = pytest.importorskip("mcp_orchestrator.cli.exits")
    found = headings(root / "docs" / "reference" / "cli.md")
    assert [code for code in exits.Exit if not any(line.startswith(f"{int(code)} ") for line in found)] == []


def test_every_command_has_its_heading(root):
    program = (
        "import runpy, sys, json; docs = runpy.run_path(sys.argv[1]);"
        "print(json.dumps([name for name, *_ in docs['commands']()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root / "scripts" / "docs.py")], capture_output=True, text=True, check=True
    )
    names = json.loads(done.stdout)
    assert {"serve", "check", "plan", "tools list", "tools call", "backends restart", "runs show"} <= set(names)
    found = headings(root / "docs" / "reference" / "cli.md")
    assert [name for name in names if f"`{name}`" not in found] == []


def test_every_configuration_key_has_its_heading(root):
    schema = subprocess.run(
        [sys.executable, "-m", "mcp_orchestrator", "schema"], capture_output=True, text=True, check=True
    ).stdout
    page = root / "docs" / "reference" / "configuration.md"
    words = set(re.findall(r"[\w-]+", " ".join(headings(page))))
    assert sorted(keys_of(json.loads(schema)) - words - {"$schema"}) == []  # the editor's own key
    # What one key may be instead of a plain value is told under that key.
    told = set(re.findall(r"[\w-]+", page.read_text()))
    assert sorted(keys_of(json.loads(schema), skipped=("examples",)) - told - {"$schema"}) == []


def keys_of(schema, skipped=("examples", "anyOf")):
    """The names of all properties that a JSON Schema describes, those below the `skipped` words left out."""
    names = set()
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            names |= set(properties)
        for word, value in schema.items():
            names |= keys_of(value, skipped) if word not in skipped else set()
    elif isinstance(schema, list):
        for value in schema:
            names |= keys_of(value, skipped)
    return names


def test_every_decision_is_in_the_index(root):
    directory = root / "docs" / "decisions"
    index = (directory / "README.md").read_text()
    assert [p.name for p in directory.glob("*.md") if p.name != "README.md" and f"({p.name})" not in index] == []


def test_the_readmes_command_table_is_complete(root):
    readme = (root / "README.md").read_text()
    listed = set(re.findall(r"(?m)^\| `(\w+)", readme))
    shown = subprocess.run(
        [sys.executable, "-m", "mcp_orchestrator", "--help"], capture_output=True, text=True, check=True
    ).stdout
    commands = set(re.findall(r"(?m)^  (\w+)\s{2,}\S", shown.split("Commands:")[1]))
    assert commands
    assert listed == commands
