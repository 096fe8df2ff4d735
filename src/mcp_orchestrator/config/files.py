"""Finds the configuration file and reads it into a source tree; knows the directories of the platform."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mcp_orchestrator.config import json_text, yaml_text
from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, Problem
from mcp_orchestrator.config.document import MalformedError, Place, Scalar, Table
from mcp_orchestrator.config.masking import hidden_spans, shown

MAX_BYTES: Final = 1024 * 1024
"""Largest configuration file, in bytes."""

_SYNTAX_FIX: Final = "look at this line and the one before it: brackets, quotes, commas, indentation"

NAMES: Final = ("orchestrator.yaml", "orchestrator.yml", "orchestrator.json")
_PROGRAM: Final = "mcp-orchestrator"


def home(environ: Mapping[str, str]) -> Path:
    """The user's home directory."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def expand(path: str, environ: Mapping[str, str], directory: Path) -> Path:
    """A path as written in a file: `~` is the home directory, what is relative counts from `directory`."""
    if path == "~" or path.startswith("~/"):
        return home(environ) / path[2:]
    return directory / path


def config_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's own configuration lives: `$XDG_CONFIG_HOME/mcp-orchestrator` or the platform's equivalent."""
    return _user_directory(environ, "XDG_CONFIG_HOME", ".config", "APPDATA")


def data_directory(environ: Mapping[str, str]) -> Path:
    """Where state lives unless configured: `$XDG_DATA_HOME/mcp-orchestrator` or the platform's equivalent."""
    return _user_directory(environ, "XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")


def _user_directory(environ: Mapping[str, str], xdg: str, fallback: str, windows: str) -> Path:
    chosen = environ.get(xdg, "")
    if Path(chosen).is_absolute():  # the XDG specification 0.8 says that relative ones are to be ignored
        return Path(chosen) / _PROGRAM
    if sys.platform == "win32" and environ.get(windows):
        return Path(environ[windows]) / _PROGRAM
    return home(environ) / fallback / _PROGRAM


def find(explicit: Path | None, *, environ: Mapping[str, str], directory: Path) -> Path | Problem:
    """The configuration file to use: `explicit`, else one in `directory`, else the user's own.

    Returns the problem C001, which lists where was looked, when there is none.
    """
    if explicit is not None:
        places = [explicit]
    else:
        places = [folder / name for folder in (directory, config_directory(environ)) for name in NAMES]
    for place in places:
        if place.exists():
            return place
    if explicit is not None:
        return Problem(Code.NOT_FOUND, "the file does not exist", str(explicit), fix="check the path after --config")
    listed = ", ".join(str(place) for place in places if place.suffix == ".yaml")
    return Problem(
        Code.NOT_FOUND,
        f"no configuration file: looked for {listed} (also .yml and .json)",
        str(places[0]),
        fix="write one, or name it with --config FILE",
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file that was read. `digest` is the SHA-256 (hex) of its bytes; `root` None when unusable."""

    path: Path
    digest: str
    root: Table | None


def read(path: Path) -> tuple[Source, Notes]:
    """Read and parse a file. What is wrong with it is in the notes, from which secrets are kept out."""
    notes = Notes(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        notes.error(Code.NOT_FOUND, "the file does not exist", None, "check the path")
        return Source(path, "", None), notes
    except OSError as error:
        notes.error(Code.UNREADABLE, f"the file cannot be read: {error.strerror}", None, "check path and permissions")
        return Source(path, "", None), notes
    return _parse(path, data, notes), notes


def _parse(path: Path, data: bytes, notes: Notes) -> Source:
    digest = hashlib.sha256(data).hexdigest()
    unusable = Source(path, digest, None)
    if len(data) > MAX_BYTES:
        notes.error(Code.UNREADABLE, "the file is larger than 1 MiB", None, "this is probably not the right file")
        return unusable
    try:
        notes.text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(before.count(b"\n") + 1, 1)
        notes.error(Code.UNREADABLE, f"not UTF-8 text: byte {data[error.start]:#04x}", place, "save it as UTF-8")
        return unusable

    def duplicate(key: str, again: Place, first: Place) -> None:
        message = f"key {shown(key)} is given twice, first on line {first.line}"
        notes.error(Code.DUPLICATE_KEY, message, again, "remove one of the two")

    parse = json_text.parse if path.suffix == ".json" else yaml_text.parse
    try:
        root = parse(notes.text, duplicate)
    except MalformedError as fault:
        notes.error(Code(fault.code), fault.message, fault.place, fault.fix or _SYNTAX_FIX)
        return unusable
    if root is None or (isinstance(root, Scalar) and root.value is None):
        root = Table({}, Place(1, 1), Place(1, 1))
    notes.hide(hidden_spans(root))
    if not isinstance(root, Table):
        notes.error(
            Code.NOT_A_MAPPING, "the file must be a mapping of keys to values", root.start, 'start with "mcpServers:"'
        )
        return unusable
    return Source(path, digest, root)
