"""The JSON Schema agrees with the checks."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from mcp_orchestrator.config.document import plain
from mcp_orchestrator.config.editor_schema import editor_schema
from mcp_orchestrator.config.yaml_text import parse

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


def accepts(text):
    validator = jsonschema_rs.Draft202012Validator(editor_schema())
    return validator.is_valid(plain(parse(text, lambda *_: None)))


def test_it_is_a_valid_schema_and_plain_json():
    jsonschema_rs.meta.validate(editor_schema())
    assert json.loads(json.dumps(editor_schema())) == editor_schema()


def every_property(schema):
    for name, inner in schema.get("properties", {}).items():
        yield name, inner
        yield from every_property(inner)
    for inner in schema.get("patternProperties", {}).values():
        yield from every_property(inner)


def test_every_key_has_a_description():
    described = list(every_property(editor_schema()))
    assert len(described) > 80
    assert [name for name, inner in described if not inner.get("description")] == []


def test_every_example_and_default_is_valid():
    validator = jsonschema_rs.Draft202012Validator
    for name, inner in every_property(editor_schema()):
        for value in [*inner.get("examples", []), *([inner["default"]] if "default" in inner else [])]:
            assert validator(inner).is_valid(value), (name, value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_shipped_configurations_are_valid(path):
    assert accepts(path.read_text())


@pytest.mark.parametrize(
    "more",
    [
        "storage: {retain: forever}", "storage: {retain: always}", "observe: {logLevel: debug}", "observe: {logLevel: loud}", "observe: {logLvl: debug}", "limits: {pageSize: 0}",
        "limits: {pageSize: '${env:N:-5}'}", "listeners: {http: {port: 1, drain: 5s}}", "listeners: {http: {drain: 5 s}}",
        "listeners: {http: {path: mcp}}", "policies: []", "policies: [{id: a, effect: deny}]", "policies: [{effect: deny}]", "agents: {a: {}}", "agents: {a: }", "agents: {a: {kind: codex}}",
        "agents: {a: {kind: codecs}}", "agents: {a: {kind: codex, limits: {usd: 2.5, turns: 3}}}", "agents: {a: {kind: codex, limits: {usd: -1}}}",
        "agents: {a: {kind: acp, command: x, colour: red}}", "agents: {a: {kind: acp, command: [x, 1], acp: {mcp: http, config: {a: true}}}}",
        "agents: {a: {registry: {id: b, distribution: {npx: {package: c}}}}}", "agents: {a: {registry: b}}", "agents: {a.b: {kind: codex}}",
        "agents: {a: {id: b, version: 1.0.0, authors: [c], distribution: {uvx: {package: c}}}}", "agents: {a: {kind: a2a, url: 'https://h'}}",
        "agents: {a: {kind: a2a, url: 'ftp://h'}}", "agents: {a: {kind: codex, env: {A: b}, inheritEnv: [C]}}", "agents: {a: {kind: codex, keep: 17}}",
        "delegation: {depth: 1, retain: forever}", "delegation: {depth: 0}", "delegation: {roots: []}", "listeners: {a2a: {port: 8809}}", "listeners: {a2a: {}}",
        "listeners: {a2a: {publicUrl: ftp://x}}", "x-y: {a: b}", "y: 1",
        "identity: {required: true}", "identity: {required: false}", "identity: {}", "backends: {s: {inheritEnv: [A]}}",
        "backends: {s: {inheritEnv: [A=b]}}", "backends: {s: {maxResultBytes: 16MiB}}", "observe:", "questions: {expire: 1d}",
        "profiles: {p: {include: [s.a], names: original}}", "profiles: {a/b: {}}", "inputs: [{id: a}]",
    ],
)  # fmt: skip
def test_it_accepts_exactly_what_the_checks_accept(loaded, more):
    text = "mcpServers: {s: {command: x}}\n" + more
    assert accepts(text) == (loaded(text).snapshot is not None)
