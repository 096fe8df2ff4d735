"""The sections about what is kept and told: where state is kept, the journal, logs and traces."""

from __future__ import annotations

from pathlib import Path

from mcp_orchestrator.config.shape import Choice, Duration, Field, Flag, Record, Text
from mcp_orchestrator.model.snapshot import Captured, Durability, ObserveSpec, StorageSpec

_observe = ObserveSpec()
_storage = StorageSpec(Path())

OBSERVE = Record(
    (
        Field(
            "logLevel",
            Choice(("debug", "info", "warning", "error")),
            "The least level that is logged.",
            _observe.log_level,
        ),
        Field("logFormat", Choice(("text", "json")), "How log lines are written (to stderr).", _observe.log_format),
        Field("journal", Flag(), "Keep a record of every call.", _observe.journal),
        Field("trace", Flag(), "Pass trace context on and create it where a client sends none.", _observe.trace),
        Field(
            "validate",
            Flag(),
            "Check arguments against a tool's schema before the server is called.",
            _observe.validate,
        ),
        Field(
            "capture",
            Choice(tuple(Captured)),
            "What the journal keeps of the arguments of calls besides their hash: `none`, or `redacted`: at most 4 KiB of "
            "each call's, without the secrets that servers are given, without what the named patterns of "
            "`policies[].redact` fit, and without arguments and fields that are called like a secret.",
            str(_observe.capture),
        ),
    )
)

STORAGE = Record(
    (
        Field(
            "url",
            Text(secrets=True),
            "Where state is kept: `sqlite:///PATH`; `~` is the home directory, a relative path counts from "
            "this file. The default is `mcp-orchestrator/state.db` in `$XDG_DATA_HOME` (`~/.local/share`). Or "
            "`postgresql://USER:PASSWORD@HOST:PORT/DATABASE` with a reference such as `${secret:env/PGPASSWORD}` for the "
            "password (needs the extra `postgres`): any number of gateways, on any number of machines, share it.",
            None,
            "sqlite:///~/.local/share/mcp-orchestrator/state.db",
        ),
        Field(
            "durability",
            Choice(tuple(Durability)),
            "What an answered call's record survives: `normal` the end of the process, `full` also power "
            "loss, at the price of a disk flush. With PostgreSQL both survive the loss of power of its machine, and "
            "`full` waits for its synchronous standbys as well, if it has any.",
            str(Durability.NORMAL),
        ),
        Field(
            "retain",
            Duration(0, 100 * 366 * 86400.0, "forever"),
            "For how long the journal is kept. What is older is removed when the gateway starts to serve "
            "and once a day after that; what is left can still be verified. `forever` (or 0) keeps "
            "everything.",
            _storage.retain,
            "30d",
        ),
    )
)
