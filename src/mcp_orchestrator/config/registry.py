"""Entries of the public ACP registry: how an agent that is described by one is started."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mcp_orchestrator.config import json_text
from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import did_you_mean
from mcp_orchestrator.config.document import (
    Entry,
    Listing,
    MalformedError,
    Node,
    Place,
    Scalar,
    Table,
    is_empty,
)
from mcp_orchestrator.config.files import expand
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.references import References

MAX_BYTES: Final = 16 * 1024 * 1024
"""Largest registry file; the public one had about 100 kB (39 agents) in August 2026."""

_MACHINES: Final = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Launch:
    """How an entry is started: the words that name the program, its arguments, its variables (None: none)."""

    id: str
    description: str
    program: tuple[Scalar, ...]
    args: tuple[Node, ...]
    env: Table | None


class EntryReader:
    """Reads the registry entry of one agent. `owner` names the agent in messages."""

    def __init__(self, owner: str, references: References, *, check_disk: bool) -> None:
        self._owner = owner
        self._references = references
        self._notes = references.notes
        self._check_disk = check_disk

    def entry(self, node: Node) -> tuple[Table, Path] | None:
        """The entry that a value gives or names, and the directory that its paths count from; None after noting why."""
        if isinstance(node, Table):
            return node, self._references.directory
        if isinstance(node, Scalar) and node.value is not None:
            filled = self._references.fill(node)
            return None if filled is None else self._from_file(filled.text, node.start)
        self._bad("registry must be an entry, or FILE#ID", node.start, "write registry.json#ID, say")
        return None

    def _from_file(self, text: str, place: Place) -> tuple[Table, Path] | None:
        name, sharp, wanted = text.rpartition("#")
        if not sharp or not name or not wanted:
            self._bad("registry must be an entry, or FILE#ID", place, "write registry.json#ID, say")
            return None
        path = expand(name, self._references.environ, self._references.directory)
        root = self._parsed(path, place)
        agents = root.get("agents") if isinstance(root, Table) else None
        if not isinstance(agents, Listing):
            if root is not None:
                fix = "it is a JSON object with version and agents"
                self._bad(f"{shown(path.name)} is no ACP registry: it has no list of agents", place, fix)
            return None
        found = {_text(item, "id"): item for item in agents.items if isinstance(item, Table)}
        if wanted not in found:
            fix = did_you_mean(wanted, sorted(found))
            self._bad(f"{shown(path.name)} has no agent {shown(wanted)}", place, fix)
            return None
        return _moved(found[wanted], place), path.parent

    def _parsed(self, path: Path, place: Place) -> Node | None:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            self._notes.error(Code.NO_SUCH_FILE, f"the registry of {self._owner} cannot be read: {reason}", place,
                              f"put a copy of the public registry at {path}, or mend the path")  # fmt: skip
            return None
        if len(data) <= MAX_BYTES:
            try:
                return json_text.parse(data.decode("utf-8-sig"), lambda *_: None)
            except (UnicodeDecodeError, MalformedError):
                pass
        self._bad(f"{shown(path.name)} is no JSON that can be read", place, "fetch it anew")
        return None

    def launch(self, entry: Table, directory: Path, *, overridden: bool) -> Launch | None:
        """How an entry is started; None after noting why that is unclear. `overridden`: `command` names the program."""
        distribution = entry.get("distribution")
        if not isinstance(distribution, Table) or is_empty(distribution):
            self._bad("the entry has no distribution", entry.start, "give npx, uvx or binary")
            return None
        for key, words in (("npx", ("npx", "-y")), ("uvx", ("uvx",))):
            way = distribution.get(key)
            if isinstance(way, Table):
                package = way.get("package")
                if not isinstance(package, Scalar) or not package.text.strip():
                    self._bad(f"{key} has no package", way.start, "give package")
                    return None
                return self._made(entry, way, (*_scalars(words, way.start), package))
        binary = distribution.get("binary")
        if isinstance(binary, Table):
            return self._binary(entry, binary, directory, overridden=overridden)
        self._bad("its distribution has no npx, uvx or binary", distribution.start, "give one of the three")
        return None

    def _binary(self, entry: Table, binary: Table, directory: Path, *, overridden: bool) -> Launch | None:
        here = platform_name()
        way = binary.get(here)
        if not isinstance(way, Table):
            fix = f"platforms of the entry: {', '.join(binary.entries) or 'none'}"
            self._bad(f"there is no binary for {here}", binary.start, fix)
            return None
        command = way.get("cmd")
        if not isinstance(command, Scalar) or not command.text.strip():
            self._bad(f"the binary for {here} has no cmd", way.start, "give cmd")
            return None
        program = command.text if overridden or not self._check_disk else self._on_disk(command, directory)
        if program is None:
            archive = _text(way, "archive")
            fix = f"unpack {shown(Path(archive).name) if archive else 'its archive'} in {directory}, or give command"
            self._bad(f"the program {shown(command.text)} is not there", command.start, fix)
            return None
        return self._made(entry, way, _scalars((program,), command.start))

    def _on_disk(self, command: Scalar, directory: Path) -> str | None:
        beside = directory / command.text
        if beside.is_file():
            return str(beside)
        return shutil.which(Path(command.text).name, path=self._references.environ.get("PATH", ""))

    def _made(self, entry: Table, way: Table, program: tuple[Scalar, ...]) -> Launch:
        args, env = way.get("args"), way.get("env")
        items = tuple(args.items) if isinstance(args, Listing) else ()
        return Launch(
            _text(entry, "id"), _text(entry, "description"), program, items, env if isinstance(env, Table) else None
        )

    def _bad(self, message: str, place: Place, fix: str) -> None:
        self._notes.error(Code.BAD_REGISTRY_ENTRY, f"{self._owner}: {message}", place, fix)


def platform_name() -> str:
    """The platform that we run on, in the words of the registry: `linux-x86_64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"


def _text(table: Table, key: str) -> str:
    node = table.get(key)
    return node.text if isinstance(node, Scalar) and node.value is not None else ""


def _scalars(words: Sequence[str], place: Place) -> tuple[Scalar, ...]:
    return tuple(Scalar(word, word, place, place) for word in words)


def _moved(node: Table, place: Place) -> Table:
    """An entry of another file as if it stood at one place of ours; what looks like a reference there is none."""
    entries: Mapping[str, Entry] = {
        key: Entry(key, place, place, _placed(entry.value, place)) for key, entry in node.entries.items()
    }
    return Table(entries, place, place)


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node, Table):
        return _moved(node, place)
    if isinstance(node, Listing):
        return Listing([_placed(item, place) for item in node.items], place, place)
    return Scalar(node.value, node.text.replace("${", "$${"), place, place)
