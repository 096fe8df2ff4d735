"""What a reload has to do, and what stays the same server."""

from dataclasses import fields, replace

import pytest

from mcp_orchestrator.config.compare import compare, fingerprint, needs_restart
from mcp_orchestrator.model.snapshot import BackendSpec, EraPolicy, Secret, StartPolicy, TransportKind

OLD = (
    "mcpServers: {a: {command: x}, b: {command: y, env: {K: one}}, c: {command: z}, d: {command: w, disabled: true}}\n"
)


def test_servers_are_sorted_by_what_happens_to_them(snapshot):
    new = "\n\nmcpServers: {c: {command: z}, b: {command: y, env: {K: two}}, e: {command: v}, d: {command: w}}\n"
    changes = compare(snapshot(OLD), snapshot(new))
    assert (changes.added, changes.removed, changes.changed, changes.kept) == (("d", "e"), ("a",), ("b",), ("c",))
    assert not changes.nothing


def test_a_file_that_says_the_same_changes_nothing(snapshot):
    changes = compare(snapshot(OLD), snapshot("# moved\n\n" + OLD))
    assert changes.nothing
    assert changes.kept == ("a", "b", "c")


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ("listeners: {http: {port: 1}}", "listeners_changed"),
        ("profiles: {p: {}}", "profiles_changed"),
        ("storage: {durability: full}", "storage_changed"),
        ("observe: {logLevel: debug}", "observe_changed"),
        ("limits: {pageSize: 1}", "limits_changed"),
        ("questions: {expire: 1s}", "limits_changed"),
        ("questions: {mouths: [cli]}", "limits_changed"),
        ("overrides: {a.t: {hide: true}}", "tools_changed"),
        ("tools: {t: {inputSchema: {type: object}, providers: [{tool: a.t}]}}", "tools_changed"),
    ],
)
def test_other_parts_are_told_apart(loaded, snapshot, more, part):
    changes = compare(snapshot(OLD), loaded(OLD + more).snapshot)
    parts = [field.name for field in fields(changes) if field.name.endswith("_changed")]
    assert [name for name in parts if getattr(changes, name)] == [part]
    assert not changes.nothing


SPEC = BackendSpec(
    "s", TransportKind.STDIO, "x", ("a", Secret("b")), (("K", Secret("v")),), "/d", ("PATH",), where="f:1"
)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "t"}, {"transport": TransportKind.HTTP}, {"command": "y"}, {"args": ("a", Secret("c"))},
        {"args": (Secret("a"), Secret("b"))}, {"env": (("K", Secret("w")),)}, {"env": (("L", Secret("v")),)}, {"cwd": None},
        {"inherit_env": ()}, {"url": Secret("http://h/")}, {"headers": (("A", Secret("b")),)},
    ],
)  # fmt: skip
def test_what_reaches_a_server_makes_its_fingerprint(change):
    assert fingerprint(replace(SPEC, **change)) != fingerprint(SPEC)


@pytest.mark.parametrize(
    "change",
    [{"timeout": 1.0}, {"start": StartPolicy.EAGER}, {"era": EraPolicy.LEGACY}, {"where": "g:2"}, {"disabled": True}],
)
def test_tuning_leaves_the_fingerprint_alone(change):
    assert fingerprint(replace(SPEC, **change)) == fingerprint(SPEC)


def test_a_fingerprint_is_stable():
    assert fingerprint(SPEC) == fingerprint(replace(SPEC))
    assert len(fingerprint(SPEC)) == 64


def test_leaving_a_tool_out_changes_what_clients_see_and_restarts_nothing(snapshot):
    new = OLD.replace("a: {command: x}", "a: {command: x, excludeTools: [t]}")
    changes = compare(snapshot(OLD), snapshot(new))
    assert (changes.changed, changes.kept, changes.profiles_changed) == ((), ("a", "b", "c"), True)


def test_agents_are_added_removed_changed_and_ordered(snapshot):
    base = "mcpServers: {s: {command: x}}\nagents:\n"
    old = snapshot(base + "  a: {kind: codex}\n  b: {kind: codex}\n  c: {kind: codex}\n")
    new = snapshot(base + "\n  b: {kind: codex, model: x}\n  c: {kind: codex}\n  d: {kind: codex}\n")
    found = compare(old, new)
    assert (found.agents_added, found.agents_removed, found.agents_changed) == (("d",), ("a",), ("b",))
    assert not found.nothing
    swapped = compare(old, snapshot(base + "  b: {kind: codex}\n  a: {kind: codex}\n  c: {kind: codex}\n"))
    assert (swapped.agents_changed, swapped.delegation_changed) == ((), True)
    gone = compare(old, snapshot(base + "  a: {kind: codex, disabled: true}\n  b: {kind: codex}\n  c: {kind: codex}\n"))
    assert gone.agents_removed == ("a",)
    moved = snapshot("\n" + base + "  a: {kind: codex}\n  b: {kind: codex}\n  c: {kind: codex}\n")
    assert compare(old, moved).nothing


def test_delegation_and_the_a2a_listener_are_compared(snapshot):
    base = "mcpServers: {s: {command: x}}\n"
    old = snapshot(base)
    assert compare(old, snapshot(base + "delegation: {depth: 1}")).delegation_changed
    assert compare(old, snapshot(base + "listeners: {a2a: {}}")).listeners_changed


@pytest.mark.parametrize(
    ("more", "sections"),
    [
        ("listeners: {http: {port: 1}}", ["listeners"]),
        ("listeners: {a2a: {}}", ["listeners"]),
        ("delegation: {workspaces: elsewhere}", ["delegation.workspaces"]),
        ("delegation: {depth: 1}", []),
        ("agents: {a: {kind: codex}}", []),
        ("observe: {validate: false}", []),
        ("observe: {logLevel: debug}", ["observe"]),
        ("questions: {expire: 1m}", ["questions"]),
    ],
)
def test_what_a_running_gateway_cannot_take_up_is_named(snapshot, more, sections):
    base = "mcpServers: {s: {command: x}}\n"
    assert needs_restart(snapshot(base), snapshot(base + more)) == sections
