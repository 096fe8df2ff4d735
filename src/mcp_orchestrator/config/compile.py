"""Makes the snapshot that the engine runs on out of a checked file; the rules that span several sections live here."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.config.agent_routes import read_routes
from mcp_orchestrator.config.agents import read_agents
from mcp_orchestrator.config.budgets import read_budgets, read_prices
from mcp_orchestrator.config.check import Checked
from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, closest
from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, is_empty, locate
from mcp_orchestrator.config.files import Source, data_directory, expand
from mcp_orchestrator.config.identities import check_open, is_loopback, read_identity
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.overrides import read_overrides
from mcp_orchestrator.config.policies import read_policies
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.results import read_bound, read_results
from mcp_orchestrator.config.sections import (
    DEFAULT_LIST_WAIT,
    DEFAULT_MOUTHS,
    DEFAULT_PAGE_SIZE,
    DEFAULT_QUESTION_EXPIRY,
    OWN_TOOLS,
)
from mcp_orchestrator.config.servers import read_servers, server_names
from mcp_orchestrator.config.storage import read_storage
from mcp_orchestrator.config.tools import read_tools
from mcp_orchestrator.model.results import ResultsSpec
from mcp_orchestrator.model.snapshot import (
    A2aSpec,
    BackendSpec,
    DelegationSpec,
    EraPolicy,
    HttpSpec,
    NameStyle,
    ObserveSpec,
    ProfileSpec,
    Snapshot,
    StartPolicy,
    StorageSpec,
)

_WILD: Final = re.compile(r"[*?\[]")


def compile_snapshot(source: Source, root: Table, checked: Checked, references: References) -> Snapshot:
    """The snapshot of a file. It is whole even when problems were noted; then it must not be used."""
    compiler = _Compiler(source, root, checked, references)
    backends = compiler.backends()
    observe = checked.get("observe", {})
    limits = checked.get("limits", {})
    agents = read_agents(root, checked.get("agents", {}), references, server_names(root))
    return Snapshot(
        source=str(source.path),
        digest=source.digest,
        backends=backends,
        profiles=compiler.profiles(),
        http=compiler.http(),
        storage=compiler.storage(),
        observe=ObserveSpec(**_snake(observe)),
        page_size=limits.get("pageSize", DEFAULT_PAGE_SIZE),
        list_wait=limits.get("listWait", DEFAULT_LIST_WAIT),
        question_expiry=checked.get("questions", {}).get("expire", DEFAULT_QUESTION_EXPIRY),
        mouths=tuple(checked.get("questions", {}).get("mouths", DEFAULT_MOUTHS)),
        agents=agents,
        routes=read_routes(root, checked.get("routes", ()), tuple(checked.get("agents", {})), references.notes),
        delegation=compiler.delegation(),
        a2a=compiler.a2a(),
        policies=read_policies(root, checked.get("policies", []), references.notes),
        identity=read_identity(root, checked.get("identity", {}), references.notes),
        budgets=read_budgets(root, checked.get("budgets", ()), references.notes, str(source.path)),
        prices=read_prices(root, checked.get("prices", {}), references.notes),
        results=compiler.results(),
        overrides=read_overrides(root, checked.get("overrides", {}), references, server_names(root)),
        tools=read_tools(root, checked.get("tools", {}), references, server_names(root)),
    )


def _snake(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of the file as names of fields; lists as tuples."""
    return {
        re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key): tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }


@dataclass(frozen=True, slots=True)
class _Compiler:
    """One file being compiled."""

    source: Source
    root: Table
    checked: Checked
    references: References

    @property
    def notes(self) -> Notes:
        return self.references.notes

    def backends(self) -> dict[str, BackendSpec]:
        names = server_names(self.root)
        settings = {name: self._settings(values) for name, values in self.checked.get("backends", {}).items()}
        for name in settings:
            if name not in names:
                near = closest(name, names)
                fix = f'did you mean "{near}"?' if near else f"servers here: {', '.join(map(shown, names)) or 'none'}"
                message = f"backends.{name}: there is no server {shown(name)}"
                self.notes.error(Code.UNKNOWN_SERVER, message, locate(self.root, "backends", name), fix)
        if not names and all(is_empty(self.root.get(key)) for key in ("mcpServers", "servers", "agents")):
            place = locate(self.root, "mcpServers")
            self.notes.warn(Code.NO_SERVERS, "there is no server", place, "add one under mcpServers")
        return read_servers(self.root, self.references, settings)

    @staticmethod
    def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
        settings = _snake(values)
        if "start" in settings:
            settings["start"] = StartPolicy(settings["start"])
        if "era" in settings:
            settings["era"] = EraPolicy(settings["era"])
        return settings

    def profiles(self) -> dict[str, ProfileSpec]:
        found = {}
        names = server_names(self.root)
        for name, values in self.checked.get("profiles", {}).items():
            for key in ("include", "exclude"):
                self._report_idle_patterns(name, key, names)
            found[name] = ProfileSpec(
                name,
                tuple(values.get("include", ())),
                tuple(values.get("exclude", ())),
                NameStyle(values.get("names", NameStyle.PREFIXED)),
                read_bound(values.get("results", {})),
                where=f"{self.source.path}:{locate(self.root, 'profiles', name).line}",
            )
        return found

    def results(self) -> ResultsSpec:
        """How much of results is handed on; patterns that fit no server are warned of."""
        values = self.checked.get("results", {})
        names, ours = server_names(self.root), self.checked.get("tools", {})
        for pattern in values.get("tools", {}):
            if "${" in pattern or _may_match(pattern, names) or any(fnmatch.fnmatchcase(one, pattern) for one in ours):
                continue
            message = f"pattern {shown(pattern)} of results.tools fits no server"
            place = locate(self.root, "results", "tools", pattern)
            self.notes.warn(Code.PATTERN_WITHOUT_MATCH, message, place, "write SERVER.NAME")
        return read_results(values)

    def _report_idle_patterns(self, profile: str, key: str, names: Sequence[str]) -> None:
        node = _descend(self.root, "profiles", profile, key)
        ours = self.checked.get("tools", {})
        for item in node.items if isinstance(node, Listing) else ():
            fits_ours = (
                any(fnmatch.fnmatchcase(tool, item.text) for tool in ours) if isinstance(item, Scalar) else False
            )
            if not isinstance(item, Scalar) or "${" in item.text or fits_ours or _may_match(item.text, names):
                continue
            head = item.text.split(".", 1)[0]
            near = closest(head, names)
            fix = f'did you mean "{near}.{item.text.partition(".")[2] or "*"}"?' if near else "write SERVER.NAME"
            message = f"pattern {shown(item.text)} of profile {profile} fits no server"
            self.notes.warn(Code.PATTERN_WITHOUT_MATCH, message, item.start, fix)

    @property
    def _sign_in(self) -> bool:
        return bool(self.checked.get("identity", {}).get("required", False))

    def http(self) -> HttpSpec:
        values = self.checked.get("listeners", {}).get("http", {})
        spec = HttpSpec(**_snake(values))
        check_open(self.root, "http", spec.host, self._sign_in, self.notes)
        if not is_loopback(spec.host) and not spec.allowed_hosts:
            message = f"listeners.http.host {shown(spec.host)} is open to the network, but allowedHosts is missing"
            fix = "listen on 127.0.0.1, or add allowedHosts: [NAME] with the name that clients use"
            self.notes.error(Code.OPEN_TO_THE_NETWORK, message, self._place("listeners", "http", "host"), fix)
        return HttpSpec(**{**_snake(values), "host": _address(spec.host)})

    def a2a(self) -> A2aSpec | None:
        """The listener for A2A clients: only where the file names it."""
        if "a2a" not in self.checked.get("listeners", {}):
            return None
        values = self.checked["listeners"]["a2a"]
        spec = A2aSpec(**_snake(values))
        check_open(self.root, "a2a", spec.host, self._sign_in, self.notes)
        if not is_loopback(spec.host) and not spec.allowed_hosts and spec.public_url is None:
            message = f"listeners.a2a.host {shown(spec.host)} is open to the network, but no host is allowed"
            fix = "listen on 127.0.0.1, or add publicUrl or allowedHosts with the name that clients use"
            self.notes.error(Code.OPEN_TO_THE_NETWORK, message, self._place("listeners", "a2a", "host"), fix)
        return A2aSpec(**{**_snake(values), "host": _address(spec.host)})

    def delegation(self) -> DelegationSpec:
        """How work is delegated; all paths are absolute."""
        values = _snake(self.checked.get("delegation", {}))
        place = values.get("workspaces")
        default = data_directory(self.references.environ) / "workspaces"
        values["workspaces"] = default if place is None else self._path(place)
        roots = values.get("roots")
        values["roots"] = _default_roots(self.references.directory) if roots is None else self._roots(roots)
        return DelegationSpec(**values)

    def _roots(self, roots: Sequence[str]) -> tuple[Path, ...]:
        found = tuple(dict.fromkeys(map(self._path, roots)))
        for path in found:
            if not path.is_dir():
                message = f"delegation.roots: there is no directory {shown(str(path))}"
                place = self._place("delegation", "roots")
                self.notes.error(Code.NO_SUCH_FILE, message, place, "make it, or remove it from the list")
        return found

    def _path(self, text: str) -> Path:
        return Path(os.path.normpath(expand(text, self.references.environ, self.references.directory)))

    def storage(self) -> StorageSpec:
        url = self.checked.get("storage", {}).get("url")
        written = _descend(self.root, "storage", "url")
        return read_storage(self.checked.get("storage", {}), url, written, self.references, self.source.path)

    def _place(self, *path: str) -> Place:
        return locate(self.root, *path)


def _default_roots(directory: Path) -> tuple[Path, ...]:
    """The directory of the file and the one we were started in, except for the root of the file system."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        here = directory
    return tuple(path for path in dict.fromkeys((directory, here)) if path != Path(path.anchor))


def _address(host: str) -> str:
    """A host as it is listened on: without brackets, `*` as the address that stands for all."""
    return {"*": "0.0.0.0", "[::]": "::"}.get(host, host.strip("[]"))  # noqa: S104 - the user's choice


def _descend(node: Node | None, *path: str) -> Node | None:
    for key in path:
        node = node.get(key) if isinstance(node, Table) else None
    return node


def _may_match(pattern: str, names: Sequence[str]) -> bool:
    """Whether a pattern over `SERVER.NAME` can fit anything that a server of these names may offer."""
    if pattern in OWN_TOOLS:
        return True
    head, dot, _ = pattern.partition(".")
    if dot and not _WILD.search(head):
        return head in names
    if not dot and not _WILD.search(pattern):
        return False
    fixed = _WILD.split(head)[0]
    return any(fnmatch.fnmatchcase(name, head) or f"{name}.".startswith(fixed) for name in names) or not names
