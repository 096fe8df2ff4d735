"""Entries of the public ACP registry as configuration."""

import json

import pytest

from mcp_orchestrator.config.registry import platform_name

ENTRY = {
    "id": "qwen-code",
    "name": "Qwen Code",
    "version": "0.9.1",
    "description": "Alibaba's Qwen coding assistant",
    "authors": ["Alibaba Qwen Team"],
    "license": "Apache-2.0",
    "license_url": "https://example.com/LICENSE",
    "distribution": {
        "npx": {"package": "@qwen-code/qwen-code@0.9.1", "args": ["--acp", "${x}"], "env": {"A": "$1 ${b}"}}
    },
}
UVX = {"id": "fast-agent", "distribution": {"uvx": {"package": "fast-agent-acp==0.4", "args": ["-x"]}}}
BINARY = {
    "id": "factory-droid",
    "distribution": {
        "binary": {
            platform_name(): {
                "archive": "https://example.com/droid.tar.gz", "cmd": "./droid", "args": ["exec", "acp"], "env": {"UPDATE": "false"},
            },
        }
    },
}  # fmt: skip


@pytest.fixture
def registry(tmp_path):
    """A local copy of the registry."""
    place = tmp_path / "sub" / "registry.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"version": "1.0.0", "agents": [ENTRY, UVX, BINARY], "extensions": []}))
    return place


def written(block):
    return f"agents: {json.dumps({'a': block})}"


def only(loaded, block, **environ):
    made = loaded(written(block), **environ)
    assert made.problems == ()
    return made.snapshot.agents["a"]


def test_an_entry_of_a_local_registry_is_an_acp_agent(loaded, registry):
    made = only(loaded, {"registry": "sub/registry.json#qwen-code"})
    assert made.kind.value == "acp"
    assert made.command == ("npx", "-y", "@qwen-code/qwen-code@0.9.1", "--acp", "${x}")
    assert [(name, value.reveal()) for name, value in made.env] == [("A", "$1 ${b}")]
    assert made.description == ENTRY["description"]
    assert made.settings == {"registry": "qwen-code"}


def test_the_same_entry_may_be_written_inline_or_be_the_agent_itself(loaded):
    entry = ENTRY | {"distribution": {"npx": {"package": "@qwen-code/qwen-code@0.9.1", "args": ["--acp"]}}}
    inline, itself = only(loaded, {"registry": entry}), only(loaded, entry)
    assert inline == itself
    assert inline.command == ("npx", "-y", "@qwen-code/qwen-code@0.9.1", "--acp")
    assert only(loaded, {"kind": "acp", "description": "mine", **UVX}).command == ("uvx", "fast-agent-acp==0.4", "-x")


def test_inline_entries_may_hold_references(loaded):
    entry = {"id": "x", "distribution": {"uvx": {"package": "p", "env": {"KEY": "${secret:env/K}"}}}}
    assert dict(only(loaded, {"registry": entry}, K="hush-hush").env)["KEY"].reveal() == "hush-hush"


def test_a_binary_is_taken_beside_the_file_that_holds_the_entry(loaded, registry):
    (registry.parent / "droid").touch()
    made = only(loaded, {"registry": "sub/registry.json#factory-droid"})
    assert made.command == (str(registry.parent / "droid"), "exec", "acp")
    assert dict(made.env)["UPDATE"].reveal() == "false"


def test_or_from_the_path(loaded, registry, tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "droid"
    program.touch(mode=0o755)
    made = only(loaded, {"registry": "sub/registry.json#factory-droid"}, PATH=str(program.parent))
    assert made.command[0] == str(program)


def test_a_command_stands_for_the_program_that_the_entry_names(loaded, registry):
    made = only(loaded, {"registry": "sub/registry.json#factory-droid", "command": "/opt/droid --fast"})
    assert made.command == ("/opt/droid", "--fast", "exec", "acp")
    assert only(loaded, {**UVX, "command": "fast-agent-acp"}).command == ("fast-agent-acp", "-x")


def test_a_binary_that_is_not_there_is_refused_with_what_to_unpack_where(loaded, registry):
    (found,) = loaded(written({"registry": "sub/registry.json#factory-droid"}), PATH="").problems
    assert str(found.code) == "C063"
    assert "droid.tar.gz" in found.fix
    assert str(registry.parent) in found.fix
    disabled = {"registry": "sub/registry.json#factory-droid", "disabled": True}
    assert loaded(written(disabled), PATH="").problems == ()


@pytest.mark.parametrize(
    ("block", "code", "words"),
    [
        ({"registry": "registry.json#qwen-code"}, "C064", "cannot be read"),
        ({"registry": "sub/registry.json#qwen"}, "C063", "qwen-code"),
        ({"registry": "sub/registry.json"}, "C063", "FILE#ID"),
        ({"registry": "#x"}, "C063", "FILE#ID"),
        ({"registry": ["x"]}, "C063", "FILE#ID"),
        ({"registry": "sub/broken.json#x"}, "C063", "no JSON"),
        ({"registry": "sub/list.json#x"}, "C063", "list of agents"),
        ({"registry": {"id": "x"}}, "C063", "no distribution"),
        ({"registry": {"id": "x", "distribution": {"docker": {}}}}, "C063", "npx, uvx or binary"),
        ({"registry": {"id": "x", "distribution": {"npx": {}}}}, "C063", "no package"),
        ({"registry": {"id": "x", "distribution": {"binary": {"amiga-68000": {"cmd": "x"}}}}}, "C063", "amiga-68000"),
        ({"registry": {"id": "x", "distribution": {"binary": {platform_name(): {"archive": "x"}}}}}, "C063", "no cmd"),
        ({"registry": UVX, **UVX}, "C061", "both"),
        ({"kind": "codex", "registry": UVX}, "C061", "registry"),
    ],
)
def test_what_is_no_entry_is_refused_with_its_place(loaded, registry, block, code, words):
    (registry.parent / "broken.json").write_text("{")
    (registry.parent / "list.json").write_text("[]")
    found = loaded(written(block)).problems
    assert [str(one.code) for one in found][:1] == [code]
    assert words in found[0].message + found[0].fix
    assert found[0].line == 1
