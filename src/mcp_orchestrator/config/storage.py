"""Reads where state is kept: a file of SQLite, or a database of PostgreSQL whose password is a reference."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import Node, Place, Scalar
from mcp_orchestrator.config.files import data_directory, expand
from mcp_orchestrator.config.masking import is_secret_name
from mcp_orchestrator.config.references import References
from mcp_orchestrator.model.snapshot import Durability, Secret, StorageSpec

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgres://", "postgresql://")
_ADDRESS: Final = re.compile(r"(postgres(?:ql)?://)(?:((?:\$\{[^{}]*\}|[^@/?#])*)@)?([^@?#]*)(?:\?([^#]*))?")
_EXAMPLE: Final = "e.g. postgresql://gateway:${secret:env/PGPASSWORD}@db.example:5432/gateway"


def read_storage(
    values: Mapping[str, Any], url: str | None, written: Node | None, references: References, source: Path
) -> StorageSpec:
    """The storage of a configuration; `url` is `storage.url` filled in, `written` as it stands in the file `source`.

    Several gateways of one machine may share a database: what each has on the machine lies apart, by its configuration.
    """
    durability = Durability(values.get("durability", Durability.NORMAL))
    more = {"retain": values["retain"]} if "retain" in values else {}
    default = data_directory(references.environ) / "state.db"
    if url is None or not isinstance(written, Scalar):
        return StorageSpec(default, durability, **more)
    if url.startswith(_POSTGRES):
        address = _postgres(url, written, references)
        if address is None:
            return StorageSpec(default, durability, **more)
        secret, name = address
        ours = hashlib.sha256(f"{name}\0{source.absolute()}".encode()).hexdigest()[:12]
        return StorageSpec(
            default.with_name(f"postgresql-{ours}") / "state.db", durability, url=secret, name=name, **more
        )
    return StorageSpec(_sqlite(url, written.start, references) or default, durability, **more)


def _sqlite(url: str, place: Place, references: References) -> Path | None:
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path or "?" in path or path == ":memory:" or path.endswith("/"):
        message = "storage.url must be sqlite:///PATH with the path of a file, or postgresql://USER@HOST/DATABASE"
        fix = "e.g. sqlite:///~/.local/share/mcp-orchestrator/state.db"
        references.notes.error(Code.BAD_STORAGE, message, place, fix)
        return None
    return expand(path, references.environ, references.directory)


def _postgres(url: str, written: Scalar, references: References) -> tuple[Secret, str] | None:
    """The address with its password and the one for people; None after noting what is wrong."""
    notes, place = references.notes, written.start
    if importlib.util.find_spec("asyncpg") is None:
        message = "PostgreSQL storage needs the package asyncpg, which is not installed"
        notes.error(
            Code.STORAGE_LACKS_PACKAGE,
            message,
            place,
            "pip install 'mcp-orchestrator[postgres]', or use sqlite:///PATH",
        )
        return None
    parts = _ADDRESS.fullmatch(written.text)
    if parts is None:  # a reference to all of it
        parts = _ADDRESS.fullmatch(url)
        if parts is not None and parts[3]:
            return Secret(url), f"postgresql://{parts[3]}"
    if parts is None or not parts[3]:
        notes.error(Code.BAD_STORAGE, "storage.url is no address of a database", place, _EXAMPLE)
        return None
    user, colon, password = (parts[2] or "").partition(":")
    named = [value for key, value in parse_qsl(parts[4] or "") if is_secret_name(key)]
    if any(one and "${" not in one for one in (password, *named)):
        message = "the password of storage.url is in clear text"
        notes.error(Code.LITERAL_SECRET, message, place, f"refer to it, {_EXAMPLE}")
        return None
    login, password, rest, query = (
        _filled(text or "", written, references) for text in (user, password, *parts.group(3, 4))
    )
    if parts[2]:
        login = f"{quote(login, safe='%')}{colon}{quote(password, safe='')}@"
    return Secret(f"postgresql://{login}{rest}{'?' if query else ''}{query}"), f"postgresql://{rest}"


def _filled(text: str, written: Scalar, references: References) -> str:
    """A part of the address with its references filled in, which they could be before."""
    filled = references.within(foreign=False, secrets_fit=True).fill(replace(written, text=text))
    return filled.text if filled is not None else ""
