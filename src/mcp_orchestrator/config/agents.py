"""Reads the agents of a checked file into agent specifications."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mcp_orchestrator.config.agent_sections import ENTRY_KEYS, KINDS_OF
from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, is_empty, locate
from mcp_orchestrator.config.files import expand
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.registry import EntryReader, Launch
from mcp_orchestrator.config.server_parts import Parts
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec
from mcp_orchestrator.model.snapshot import Secret

_PLAIN = {"model": "model", "description": "description", "timeout": "timeout", "startTimeout": "start_timeout",
          "maxRuns": "max_runs", "keep": "keep", "disabled": "disabled"}  # fmt: skip
_PARTS = ("acp", "claude", "codex", "a2a")


def read_agents(
    root: Table, checked: Mapping[str, Any], references: References, servers: Collection[str]
) -> dict[str, AgentSpec]:
    """All usable agents in order. `checked` is the section as `check` read it, `servers` the names of servers.

    Problems go to the notes of `references`; an agent with an error is left out (the file is refused anyway).
    """
    specs: dict[str, AgentSpec] = {}
    section = root.get("agents")
    for name, values in checked.items():
        place = locate(root, "agents", name)
        if name in servers:
            message = f"agent {shown(name)} has the name of a server"
            references.notes.error(Code.NAME_TAKEN, message, place, "rename one of the two")
        table = section.get(name) if isinstance(section, Table) else None
        spec = _Agent(name, table if isinstance(table, Table) else Table({}, place, place), values, references).read(
            place
        )
        if spec is not None:
            specs[name] = spec
    return specs


class _Agent:
    """One agent being read. `values` are its checked keys; those that are `Held` are nodes."""

    def __init__(self, name: str, table: Table, values: Mapping[str, Any], references: References) -> None:
        self._name = name
        self._owner = f"agent {shown(name)}"
        self._table = table
        self._values = values
        self._references = references
        self._notes = references.notes
        self._resolve = not values.get("disabled", False)

    def read(self, place: Place) -> AgentSpec | None:
        kind = self._kind()
        if kind is None:
            return None
        self._report_useless_keys(kind)
        parts = Parts(self._name, self._references, resolve=self._resolve, noun="agent", verbatim=False)
        launch = self._launch()
        command = self._command(kind, launch, parts, place)
        url = self._url(kind, parts, place)
        env = dict(parts.environment(launch.env)) if launch is not None else {}
        env |= dict(parts.environment(self._held("env")))
        limits = self._values.get("limits", {})
        plain = {field: self._values[key] for key, field in _PLAIN.items() if key in self._values}
        if launch is not None and launch.description:
            plain.setdefault("description", launch.description)
        return AgentSpec(
            self._name,
            kind,
            command=command,
            url=url,
            headers=parts.headers(self._held("headers")),
            labels=tuple(dict.fromkeys(self._values.get("labels", ()))),
            env=tuple(env.items()),
            inherit_env=tuple(dict.fromkeys(self._values.get("inheritEnv", ()))),
            most_mode=AgentMode(self._values.get("mode", AgentMode.WRITE)),
            max_turns=limits.get("turns"),
            max_cost=limits.get("usd"),
            settings=self._settings(kind, launch, place),
            base=self._references.directory,
            confidential=parts.confidential,
            where=f"{self._notes.file}:{place.line}",
            **plain,
        )

    def _kind(self) -> AgentKind | None:
        """The kind that is said or implied; None where the check has noted what is wrong."""
        if "kind" in self._values:
            return AgentKind(self._values["kind"])
        implied = "kind" not in self._table.entries and ("registry" in self._values or "distribution" in self._values)
        return AgentKind.ACP if implied else None

    def _held(self, key: str) -> Node | None:
        node: Node | None = self._values.get(key)
        return node

    def _report_useless_keys(self, kind: AgentKind) -> None:
        for key, entry in self._table.entries.items():
            kinds = KINDS_OF.get(key)
            if kinds is not None and kind not in kinds:
                message = f"{key} of {self._owner} means nothing for kind {kind}"
                fix = f"remove it; it is for {', '.join(kinds)}"
                self._notes.error(Code.KEY_OF_ANOTHER_KIND, message, entry.start, fix)
            elif key in ENTRY_KEYS and "distribution" not in self._table.entries:
                message = f"{key} of {self._owner} means nothing without distribution"
                self._notes.error(Code.KEY_OF_ANOTHER_KIND, message, entry.start, "remove it")
            elif key == "registry" and "distribution" in self._table.entries:
                message = f"{self._owner} has both registry and distribution"
                self._notes.error(Code.KEY_OF_ANOTHER_KIND, message, entry.start, "remove one of the two")

    def _launch(self) -> Launch | None:
        reader = EntryReader(self._owner, self._references, check_disk=self._resolve)
        if "distribution" in self._values:
            found: tuple[Table, Path] | None = (self._table, self._references.directory)
        elif (node := self._held("registry")) is not None:
            found = reader.entry(node)
        else:
            return None
        return None if found is None else reader.launch(*found, overridden="command" in self._values)

    def _command(self, kind: AgentKind, launch: Launch | None, parts: Parts, place: Place) -> tuple[str | Secret, ...]:
        """The whole command line; empty where the kind or the profile names it, or after noting what is wrong."""
        given = self._words("command") if "command" in self._values else None
        more = self._listed("args")
        words: list[Node] = list(given if given is not None else launch.program if launch is not None else ())
        described = any(key in self._values for key in ("registry", "distribution"))
        if not words:
            if kind is AgentKind.ACP and not described and not {"command", "profile"} & self._values.keys():
                self._unreachable(place, "give command, registry or profile")
            elif more and not described:
                fix = "write the whole command line under command"
                self._unreachable(locate(self._table, "args"), fix, "args without a command")
            return ()
        first = words[0]
        program = parts.text(first, "command") if isinstance(first, Scalar) else None
        if program is None:
            if not isinstance(first, Scalar):
                self._wrong("command", first.start, "text, or a list of words")
            return ()
        rest = [*words[1:], *(launch.args if launch is not None else ()), *more]
        return (self._program(program), *parts.arguments(rest))

    def _words(self, key: str) -> list[Node] | None:
        """A command line as words, each with its place; None after noting what is wrong."""
        node = self._held(key)
        if isinstance(node, Listing) and node.items:
            return list(node.items)
        if isinstance(node, Scalar) and node.value is not None and node.text.strip():
            try:
                words = shlex.split(node.text)
            except ValueError as error:
                message = f"{key} of {self._owner} cannot be split into words: {str(error).lower()}"
                self._notes.error(Code.MALFORMED, message, node.start, "write it as a list of words")
                return None
            return [Scalar(word, word, node.start, node.end) for word in words]
        if node is not None:
            self._wrong(key, node.start, "text, or a list of words")
        return None

    def _listed(self, key: str) -> list[Node]:
        node = self._held(key)
        if node is None or is_empty(node):
            return []
        if isinstance(node, Listing):
            return list(node.items)
        self._wrong(key, node.start, "a list")
        return []

    def _wrong(self, key: str, place: Place, expected: str) -> None:
        message = f"{key} of {self._owner} must be {expected}"
        self._notes.error(Code.WRONG_TYPE, message, place, f"write {expected}")

    def _unreachable(self, place: Place, fix: str, what: str = "") -> None:
        message = f"{self._owner} has {what or 'nothing that reaches it'}"
        self._notes.error(Code.AGENT_UNREACHABLE, message, place, fix)

    def _program(self, text: str) -> str:
        """A program's name is looked for on the PATH; a path counts from the file, as the agent works elsewhere."""
        return str(self._path(text)) if "/" in text or text.startswith("~") else text

    def _path(self, text: str) -> Path:
        return expand(text, self._references.environ, self._references.directory)

    def _url(self, kind: AgentKind, parts: Parts, place: Place) -> Secret | None:
        node = self._held("url")
        if isinstance(node, Scalar) and node.value is not None:
            return parts.address(node)
        if node is not None:
            self._wrong("url", node.start, "an address")
        elif kind is AgentKind.A2A:
            self._unreachable(place, "give url")
        return None

    def _settings(self, kind: AgentKind, launch: Launch | None, place: Place) -> dict[str, Any]:
        """The keys of the kind itself as plain JSON; paths are absolute."""
        settings: dict[str, Any] = {}
        for part in _PARTS:
            settings |= self._values.get(part, {})
        if "config" in settings:
            settings["config"] = self._options(settings["config"])
        if "configDir" in settings:
            settings["configDir"] = str(self._path(settings["configDir"]))
        if "profile" in self._values:
            settings["profile"] = self._profile(kind, self._values["profile"])
        elif kind is AgentKind.CLI and "profile" not in self._table.entries:
            self._unreachable(place, "give profile")
        if "script" in self._values:
            settings["script"] = self._file("script", self._values["script"])
        elif kind is AgentKind.SCRIPTED and "script" not in self._table.entries:
            self._unreachable(place, "give script")
        if launch is not None and launch.id:
            settings["registry"] = launch.id
        return settings

    def _profile(self, kind: AgentKind, text: str) -> str:
        is_file = "/" in text or text.endswith((".yaml", ".yml"))
        return self._file("profile", text) if is_file and kind is AgentKind.CLI else text

    def _file(self, key: str, text: str) -> str:
        path = self._path(text)
        if self._resolve and not path.is_file():
            message = f"{key} of {self._owner} is not there: no file at {path}"
            self._notes.error(Code.NO_SUCH_FILE, message, locate(self._table, key), "make it, or mend the path")
        return str(path)

    def _options(self, node: Node) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if not isinstance(node, Table):
            if not is_empty(node):
                self._wrong("acp.config", node.start, "names with values")
            return options
        for entry in node.entries.values():
            if not isinstance(entry.value, Scalar) or entry.value.value is None:
                self._wrong(f"acp.config.{entry.key}", entry.value.start, "text, a number, true or false")
                continue
            filled = self._references.fill(entry.value)
            if filled is not None:
                options[entry.key] = filled.text if filled.referred else entry.value.value
        return options
