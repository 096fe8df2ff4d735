"""What changed between two snapshots, and what makes a backend the same one across restarts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp_orchestrator.model.snapshot import BackendSpec, Secret, Snapshot


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of servers and of agents by what a reload does to them (sorted), and which other parts differ.

    `profiles_changed` covers what clients see: profiles, and the tools that a server's definition leaves out;
    `limits_changed` page size, list wait, question expiry, mouths and the bounds of results; `delegation_changed` what holds for all
    agents, their order and routes; `tools_changed` logical tools and overrides.
    Disabled servers and agents count as absent. Files that agents refer to (scripts, profiles) are not looked into.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    kept: tuple[str, ...]
    listeners_changed: bool
    profiles_changed: bool
    storage_changed: bool
    observe_changed: bool
    limits_changed: bool
    agents_added: tuple[str, ...] = ()
    agents_removed: tuple[str, ...] = ()
    agents_changed: tuple[str, ...] = ()
    delegation_changed: bool = False
    identity_changed: bool = False
    tools_changed: bool = False
    budgets_changed: bool = False
    policies_changed: bool = False

    @property
    def nothing(self) -> bool:
        """Whether the two snapshots mean the same."""
        names = self.added or self.removed or self.changed
        parts = (self.listeners_changed, self.profiles_changed, self.storage_changed, self.observe_changed)
        agents = self.agents_added or self.agents_removed or self.agents_changed
        others = (
            self.limits_changed,
            self.delegation_changed,
            self.tools_changed,
            self.identity_changed,
            self.budgets_changed,
            self.policies_changed,
        )
        return not names and not agents and not any(parts) and not any(others)


def compare(old: Snapshot, new: Snapshot) -> Changes:
    """What turns `old` into `new`. A server is changed when any of its settings is, wherever it is written."""
    before = {name: spec for name, spec in old.backends.items() if not spec.disabled}
    after = {name: spec for name, spec in new.backends.items() if not spec.disabled}
    both = sorted(before.keys() & after.keys())
    had = {name: spec for name, spec in old.agents.items() if not spec.disabled}
    has = {name: spec for name, spec in new.agents.items() if not spec.disabled}
    return Changes(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(name for name in both if before[name] != after[name]),
        kept=tuple(name for name in both if before[name] == after[name]),
        listeners_changed=(old.http, old.a2a) != (new.http, new.a2a),
        profiles_changed=dict(old.profiles) != dict(new.profiles) or _filters(before) != _filters(after),
        storage_changed=old.storage != new.storage,
        observe_changed=old.observe != new.observe,
        limits_changed=_limits(old) != _limits(new),
        agents_added=tuple(sorted(has.keys() - had.keys())),
        agents_removed=tuple(sorted(had.keys() - has.keys())),
        agents_changed=tuple(name for name in sorted(had.keys() & has.keys()) if had[name] != has[name]),
        delegation_changed=(old.delegation, old.routes, *had) != (new.delegation, new.routes, *has),
        tools_changed=(dict(old.tools), dict(old.overrides)) != (dict(new.tools), dict(new.overrides)),
        identity_changed=old.identity != new.identity,
        policies_changed=old.policies != new.policies,
        budgets_changed=(old.budgets, old.prices) != (new.budgets, new.prices),
    )


def _filters(specs: Mapping[str, BackendSpec]) -> set[tuple[str, tuple[str, ...] | None, tuple[str, ...]]]:
    return {
        (name, spec.include, spec.exclude) for name, spec in specs.items() if spec.include is not None or spec.exclude
    }


def _limits(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.page_size, snapshot.list_wait, snapshot.question_expiry, snapshot.mouths, snapshot.results


def fingerprint(spec: BackendSpec) -> str:
    """SHA-256 (hex) over what makes a server the same one: its name and how it is reached.

    Time limits, sizes and start policy are left out, so that what was learnt about a server outlives tuning it.
    Secrets enter as hashes only.
    """
    parts: list[Any] = [
        spec.name,
        spec.transport.value,
        spec.command,
        [_part(item) for item in spec.args],
        [[name, _part(value)] for name, value in spec.env],
        spec.cwd,
        list(spec.inherit_env),
        None if spec.url is None else _part(spec.url),
        [[name.lower(), _part(value)] for name, value in spec.headers],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _part(value: str | Secret) -> Any:
    if isinstance(value, Secret):
        return {"sha256": hashlib.sha256(value.reveal().encode("utf-8", "surrogateescape")).hexdigest()}
    return value


def needs_restart(running: Snapshot, new: Snapshot) -> list[str]:
    """The sections whose changes a running gateway cannot take up."""
    sections = {
        "listeners": (running.http, running.a2a) != (new.http, new.a2a),
        "storage": running.storage != new.storage,
        "observe": replace(running.observe, validate=new.observe.validate) != new.observe,
        "delegation.workspaces": running.delegation.workspaces != new.delegation.workspaces,
        "questions": (running.question_expiry, running.mouths) != (new.question_expiry, new.mouths),
    }
    return [name for name, differs in sections.items() if differs]
