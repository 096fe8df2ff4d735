"""Reads server blocks as other programs write them, verbatim, into backend specifications."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import Entry, Listing, Node, Place, Scalar, Table, is_empty
from mcp_orchestrator.config.files import expand
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.sections import BASIC_ENVIRONMENT, EXCLUDE_KEYS, INCLUDE_KEYS, SERVER_KEYS, SERVER_NAME
from mcp_orchestrator.config.server_parts import Parts
from mcp_orchestrator.config.units import parse_duration, show_duration
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind

_TYPES: Final = {
    "stdio": TransportKind.STDIO, "local": TransportKind.STDIO,
    "http": TransportKind.HTTP, "streamable-http": TransportKind.HTTP, "streamablehttp": TransportKind.HTTP,
    "streamable_http": TransportKind.HTTP, "remote": TransportKind.HTTP,
    "sse": TransportKind.SSE,
}  # fmt: skip
_URL_KEYS: Final = ("httpUrl", "url", "serverUrl")
_ENV_KEYS: Final = ("env", "environment")
_MILLISECOND_KEYS: Final = frozenset({"httpUrl", "trust", "includeTools", "excludeTools"})
_SECOND_KEYS: Final = frozenset({"autoApprove", "alwaysAllow"})
_FIRST_MILLISECOND: Final = 1000
_LAST_SECOND: Final = 3600
_LEAST_TIMEOUT: Final = 0.05
_PUBLIC: Final = re.compile(r"[^A-Za-z0-9_-]")


def read_servers(root: Table, references: References, settings: Mapping[str, Any]) -> dict[str, BackendSpec]:
    """All usable servers of `mcpServers` and `servers`, in order, with the checked `backends` settings applied.

    Problems go to the notes of `references`; a server with an error is left out (the file is refused anyway).
    """
    notes = references.notes
    specs: dict[str, BackendSpec] = {}
    public: dict[str, str] = {}
    for section in ("mcpServers", "servers"):
        for entry in _entries(root.get(section), section, notes):
            if _name_is_usable(entry, public, notes):
                spec = _Server(entry, references, settings.get(entry.key, {})).read()
                if spec is not None:
                    specs[entry.key] = spec
    return specs


def server_names(root: Table) -> list[str]:
    """The names of all servers in the file, usable or not."""
    tables = [node for node in (root.get("mcpServers"), root.get("servers")) if isinstance(node, Table)]
    return [name for table in tables for name in table.entries]


def _entries(node: Node | None, section: str, notes: Notes) -> list[Entry]:
    if node is None or is_empty(node):
        return []
    if isinstance(node, Table):
        return list(node.entries.values())
    notes.error(Code.WRONG_TYPE, f"{section} must be servers by name", node.start, "write NAME: {command: …}")
    return []


def _name_is_usable(entry: Entry, public: dict[str, str], notes: Notes) -> bool:
    """Check a name; `public` maps the names that clients will see to those already taken."""
    name = entry.key
    if not re.fullmatch(SERVER_NAME, name) or not name.isprintable() or not name.strip():
        message = f"server name {shown(name, 80)} must be 1 to 64 printable characters without / and ."
        notes.error(Code.SERVER_NAME, message, entry.start, "rename it")
        return False
    seen = _PUBLIC.sub("_", name)
    if seen in public:
        message = f"server {shown(name)} has the same public name as {shown(public[seen])}: {seen}"
        notes.error(Code.NAME_COLLISION, message, entry.start, "rename one of the two")
        return False
    public[seen] = name
    return True


class _Server:
    """One block being read."""

    def __init__(self, entry: Entry, references: References, settings: Mapping[str, Any]) -> None:
        self._name = entry.key
        self._entry = entry
        self._notes = references.notes
        self._references = references
        self._settings = settings
        self._table = entry.value if isinstance(entry.value, Table) else Table({}, entry.start, entry.end)

    def read(self) -> BackendSpec | None:
        if not isinstance(self._entry.value, Table) and not is_empty(self._entry.value):
            message = f"server {shown(self._name)} must be keys with values"
            lost = re.match(r"([^\s{]+)\s*\{", self._name)
            fix = f"a colon is missing: {lost[1]}: {{…}}" if lost else "write {command: …} or {url: …}"
            self._notes.error(Code.WRONG_TYPE, message, self._entry.value.start, fix)
            return None
        self._report_keys()
        disabled = self._disabled()
        parts = Parts(self._name, self._references, resolve=not disabled)
        transport = self._transport()
        if transport is None:
            return None
        reached = self._program(parts) if transport is TransportKind.STDIO else self._address(parts)
        if reached is None:
            return None
        settings: dict[str, Any] = {"timeout": self._timeout(), **self._settings, "disabled": disabled}
        inherited = (*BASIC_ENVIRONMENT, *settings.pop("inherit_env", ()))
        return BackendSpec(
            self._name,
            transport,
            inherit_env=tuple(dict.fromkeys(inherited)) if transport is TransportKind.STDIO else (),
            include=self._tool_names(INCLUDE_KEYS),
            exclude=self._tool_names(EXCLUDE_KEYS) or (),
            confidential=parts.confidential,
            where=f"{self._notes.file}:{self._entry.start.line}",
            **reached,
            **{key: value for key, value in settings.items() if value is not None},
        )

    def _first(self, *keys: str) -> Node | None:
        """The value of the first of some keys that says anything."""
        nodes = (self._table.get(key) for key in keys)
        return next((node for node in nodes if not is_empty(node)), None)

    def _report_keys(self) -> None:
        known = {key.name: key for key in SERVER_KEYS}
        for entry in self._table.entries.values():
            key = known.get(entry.key)
            about = f"{shown(entry.key)} of server {shown(self._name)}"
            if key is None:
                read = [one.name for one in SERVER_KEYS if one.use == "read"]
                fix = did_you_mean(entry.key, read) if len(entry.key) > 1 else ""
                message = f"unknown key {about}: it is not used"
                self._notes.warn(Code.UNKNOWN_KEY, message, entry.start, fix if fix.startswith("did") else "remove it")
            elif key.use == "dropped" and not _says_nothing(entry.value):
                self._notes.warn(
                    Code.FOREIGN_SETTING,
                    f"{about} is not carried out",
                    entry.start,
                    key.text[0].lower() + key.text[1:].rstrip("."),
                )

    def _disabled(self) -> bool:
        disabled = self._flag("disabled") is True or self._flag("enabled") is False
        return bool(self._settings.get("disabled", disabled))

    def _flag(self, key: str) -> bool | None:
        node = self._table.get(key)
        if node is None or (isinstance(node, Scalar) and isinstance(node.value, bool)):
            return None if node is None else bool(node.value)
        self._wrong(key, node, "true or false")
        return None

    def _wrong(self, key: str, node: Node, expected: str) -> None:
        message = f"{key} of server {shown(self._name)} must be {expected}"
        fix = 'write it in brackets: ["…", "…"]' if expected.startswith("a list") else f"write {expected}"
        self._notes.error(Code.WRONG_TYPE, message, node.start, fix)

    def _transport(self) -> TransportKind | None:
        """How the server is reached; None after noting why that is not clear."""
        command, url = self._first("command"), self._first(*_URL_KEYS)
        about = f"server {shown(self._name)}"
        if command is not None and url is not None:
            message = f"{about} has both a command and a URL"
            self._notes.error(Code.TRANSPORT_CONFLICT, message, self._entry.start, "remove one of the two")
            return None
        if command is None and url is None:
            fix = "give command (a program) or url (an address)"
            self._notes.error(Code.NO_TRANSPORT, f"{about} has neither a command nor a URL", self._entry.start, fix)
            return None
        kind = self._declared()
        if kind is None:
            return TransportKind.STDIO if command is not None else self._guess(url)
        if (kind is TransportKind.STDIO) != (command is not None):
            has = "a command" if command is not None else "a URL"
            node = self._first("type", "transport")
            place = node.start if node is not None else self._entry.start
            self._notes.error(
                Code.TRANSPORT_CONFLICT, f"{about} has {has}, but its type is {kind}", place, "remove type"
            )
            return None
        return kind

    def _declared(self) -> TransportKind | None:
        node = self._first("type", "transport")
        if node is None:
            return None
        kind = _TYPES.get(node.text.casefold()) if isinstance(node, Scalar) else None
        if kind is None:
            text = shown(node.text) if isinstance(node, Scalar) else "no single word"
            fix = "possible here: stdio, http, sse"
            self._notes.error(Code.TRANSPORT_CONFLICT, f"unknown type {text}", node.start, fix)
        return kind

    def _guess(self, url: Node | None) -> TransportKind:
        """HTTP, but SSE for the address form that servers of the 2024-11-05 transport have by custom."""
        explicit = self._first("httpUrl") is not None
        text = url.text if isinstance(url, Scalar) else ""
        path = text.split("?", 1)[0].rstrip("/")
        return TransportKind.SSE if path.endswith("/sse") and not explicit else TransportKind.HTTP

    def _program(self, parts: Parts) -> dict[str, Any] | None:
        """Command, arguments, environment and directory."""
        self._useless("headers", "a started program")
        command, more = self._command()
        program = parts.text(command, "command") if command is not None else None
        if program is None or command is None:
            return None
        args = [*more, *self._listed("args")]
        if not args and re.search(r"\s-|\s\S+\.\w+$", program) and "/" not in program.split()[0]:
            message = f"command of server {shown(self._name)} looks like a whole command line"
            self._notes.warn(Code.COMMAND_LINE, message, command.start, "put the words after the first under args")
        cwd = self._first("cwd")
        directory = parts.text(cwd, "cwd") if isinstance(cwd, Scalar) else None
        if cwd is not None and not isinstance(cwd, Scalar):
            self._wrong("cwd", cwd, "a directory")
        return {
            "command": program,
            "args": parts.arguments(args),
            "env": parts.environment(self._first(*_ENV_KEYS)),
            "cwd": None if directory is None else self._directory(directory),
        }

    def _directory(self, text: str) -> str:
        return str(expand(text, self._references.environ, self._references.directory))

    def _command(self) -> tuple[Scalar | None, list[Node]]:
        """The program, and the arguments that some programs write together with it."""
        node = self._table.get("command")
        if isinstance(node, Table):  # Zed before 0.200: command: {path, args, env}
            path, args = node.get("path"), node.get("args")
            more = list(args.items) if isinstance(args, Listing) else []
            if isinstance(path, Scalar) and is_empty(node.get("env")):
                return path, more
        elif isinstance(node, Listing) and node.items:  # opencode 1: command: [program, argument]
            if isinstance(node.items[0], Scalar):
                return node.items[0], list(node.items[1:])
        elif isinstance(node, Scalar):
            return node, []
        if node is not None:
            self._wrong("command", node, "the name of a program")
        return None, []

    def _listed(self, key: str) -> list[Node]:
        node = self._table.get(key)
        if node is None or is_empty(node):
            return []
        if isinstance(node, Listing):
            return list(node.items)
        self._wrong(key, node, "a list")
        return []

    def _address(self, parts: Parts) -> dict[str, Any] | None:
        """URL and headers."""
        for key in ("args", *_ENV_KEYS, "cwd"):
            self._useless(key, "a remote server")
        node = self._first(*_URL_KEYS)
        if not isinstance(node, Scalar):
            if node is not None:
                self._wrong("url", node, "an address")
            return None
        url = parts.address(node)
        return None if url is None else {"url": url, "headers": parts.headers(self._table.get("headers"))}

    def _tool_names(self, keys: Sequence[str]) -> tuple[str, ...] | None:
        """The tools that all the lists of some keys name together; None where there is no list.

        `NAME(…)` counts as NAME, as in Gemini CLI 0.5 and later: what a tool may be called with is not restricted.
        """
        entries = [self._table.entries[key] for key in keys if key in self._table.entries]
        nodes = [(entry.key, entry.value) for entry in entries if not _is_null(entry.value)]
        if not nodes:
            return None
        names: list[str] = []
        for key, node in nodes:
            items = node.items if isinstance(node, Listing) else ()
            words = [item.text for item in items if isinstance(item, Scalar) and item.value is not None]
            if not isinstance(node, Listing) or len(words) < len(items):
                self._wrong(key, node, "a list of names of tools")
            names += [re.sub(r"\(.*", "", word, flags=re.DOTALL) for word in words]
        return tuple(dict.fromkeys(names))

    def _useless(self, key: str, what: str) -> None:
        entry = self._table.entries.get(key)
        if entry is not None and not is_empty(entry.value):
            message = f"{key} of server {shown(self._name)} has no meaning for {what}"
            self._notes.warn(Code.FOREIGN_SETTING, message, entry.start, "remove it")

    def _timeout(self) -> float | None:
        """Seconds; the unit of a bare number depends on the program that the block comes from."""
        node = self._table.get("timeout")
        if node is None or is_empty(node):
            return None
        value = node.value if isinstance(node, Scalar) else None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        seconds = self._seconds(float(value or 0), node.start) if number else parse_duration(value)
        if seconds is None:
            self._wrong("timeout", node, "a duration such as 30s")
        elif seconds < _LEAST_TIMEOUT:
            message = f"timeout of server {shown(self._name)} must be at least {show_duration(_LEAST_TIMEOUT)}"
            self._notes.error(Code.OUT_OF_RANGE, message, node.start, "write 30s, say")
        return seconds

    def _seconds(self, number: float, place: Place) -> float:
        """Gemini CLI 0.5 and Claude Code 2.1 count milliseconds, Cline 3 and Roo Code 3 seconds (at most 3,600)."""
        keys = self._table.entries.keys()
        if keys & _MILLISECOND_KEYS:
            return number / 1000
        if number < _FIRST_MILLISECOND or (keys & _SECOND_KEYS and number <= _LAST_SECOND):
            return number
        if number <= _LAST_SECOND and "timeout" not in self._settings:
            message = f"timeout of server {shown(self._name)} was read as milliseconds"
            fix = f"say it in backends: {{{self._name}: {{timeout: {show_duration(number / 1000)}}}}}"
            self._notes.warn(Code.AMBIGUOUS_TIMEOUT, message, place, fix)
        return number / 1000


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _says_nothing(node: Node) -> bool:
    """Whether a setting is at a value that asks for nothing: empty or false."""
    return is_empty(node) or (isinstance(node, Scalar) and node.value in {False, ""})
