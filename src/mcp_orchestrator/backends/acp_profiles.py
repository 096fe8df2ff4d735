"""What is known of each ACP agent: a row of `acp_profiles.json` for each, and a sane one for those nobody has tried."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from mcp_orchestrator.model.agent import AgentSpec
from mcp_orchestrator.model.snapshot import Secret

ROWS: Final = Path(__file__).with_name("acp_profiles.json")


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an agent tells what it used.

    `at` is the path inside the answer to `session/prompt`; with `every` it is inside each update instead, one of each
    model call. `scope`: of the turn, of the session so far, or of the last model call only.
    """

    at: str = "usage"
    scope: Literal["turn", "session", "call"] = "turn"
    every: bool = False


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agent.

    `command` is its command line, `programs` words of command lines by which it is recognised; `env` the variables it
    inherits, `set` those it gets. `read` and `write` are the modes for delegations that may only read, or write as
    well (None: the one it starts in). `mcp` is how it takes MCP servers (None: what it says itself). `approve` are the
    ids of options that approve once, the best first. `model` are arguments that name the model. `authenticate` is the
    method to sign in with at the start; `cost` whether it tells what a session has cost. `quirks` are words that the adapter knows:

    - `fresh-load`: a session that is loaded in the minute in which it was made is erased, so that is waited for;
    - `asks`: its mode for reading asks before it changes anything, and those requests are then refused;
    - `deaf`: it goes on after a cancel until its model has answered;
    - `slow`: a look at it makes no session;
    - `no-load`: it says that it takes sessions up, and does not.
    """

    name: str
    title: str = ""
    command: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    install: str = ""
    sign_in: str = ""
    env: tuple[str, ...] = ()
    set: dict[str, str] = {}
    read: str | None = None
    write: str | None = None
    mcp: Literal["http", "stdio", "none"] | None = None
    approve: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    authenticate: str | None = None
    usage: Usage | None = Usage()
    cost: bool = False
    quirks: frozenset[Literal["fresh-load", "asks", "deaf", "slow", "no-load"]] = frozenset()
    verified: str | None = None
    date: str | None = None
    notes: tuple[str, ...] = ()


def profile_of(spec: AgentSpec) -> Profile:
    """The profile that the configuration names, else the one of its registry entry or its program, else the plain one.

    A name that is not known counts as none: `unknown_profile` tells.
    """
    rows = _rows()
    for name in (spec.settings.get("profile"), spec.settings.get("registry")):
        if isinstance(name, str) and name in rows:
            return rows[name]
    words = [word for word in spec.command if not isinstance(word, Secret)]
    return next((row for row in rows.values() if any(_is(word, row) for word in words)), rows[PLAIN])


PLAIN: Final = "plain"
"""The row of agents that nobody has tried."""


def unknown_profile(spec: AgentSpec) -> str | None:
    """The name of a profile that the configuration asks for and that does not exist."""
    name = spec.settings.get("profile")
    return name if isinstance(name, str) and name not in _rows() else None


def profile_names() -> tuple[str, ...]:
    """The names of all profiles, in the order of the file."""
    return tuple(_rows())


def _is(word: str, row: Profile) -> bool:
    """Whether a word of a command line names an agent's program or its package (`npx -y @scope/name@1.2.3`)."""
    scope = "@" if word.startswith("@") else ""
    package = scope + word.removeprefix("@").partition("@")[0]
    program = Path(word).name.removesuffix(".exe")
    return any(name in (package, program) for name in row.programs)


def _rows() -> dict[str, Profile]:
    rows = msgspec.json.decode(ROWS.read_bytes(), type=list[Profile])
    return {row.name: row for row in rows}
