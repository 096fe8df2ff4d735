"""`tokens`: makes, lists and revokes the tokens that callers sign in with over HTTP and A2A."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mcp_orchestrator.cli.exits import Ended, Exit, bad_usage
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Printer, Style, safe_line
from mcp_orchestrator.config.identity_sections import NAME, NAME_FORM
from mcp_orchestrator.config.units import parse_duration, show_duration
from mcp_orchestrator.core import scopes
from mcp_orchestrator.core import tokens as form
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.event import Event, EventKind

if TYPE_CHECKING:
    from mcp_orchestrator.storage.store import Store

Result = TypeVar("Result")

NEVER: Final = "never"
LONGEST: Final = 10 * 366 * 86400.0
_ID_BYTES: Final = 4


@click.group("tokens")
@config_before
@format_option
def command() -> None:
    """Make, list and revoke the tokens that callers sign in with.

    A running gateway sees a change within half a second.
    """


@command.command("create")
@config_option
@format_option
@click.argument("name")
@click.option(
    "--scope",
    "wanted",
    multiple=True,
    metavar="SCOPE",
    help="What it is good for; may be given more than once (default: everything): tools, resources, prompts, delegate, "
    "runs; tools:PATTERN, resources:PATTERN and prompts:PATTERN for what fits a pattern over SERVER.NAME.",
)
@click.option("--expires", default="30d", show_default=True, metavar="DURATION", help="Its life: 12h, 30d; or never.")
@click.option("--profile", metavar="NAME", help="Let it in by this profile alone.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group of its caller; more than once.")
def create(  # noqa: PLR0917 - click names them all
    config: Path | None, name: str, wanted: tuple[str, ...], expires: str, profile: str | None, groups: tuple[str, ...]
) -> int:
    """Make a token for the caller NAME and print it: this once, only its hash is kept.

    The caller is `token:NAME` in rules and in the journal. Whoever has it sends `Authorization: Bearer TOKEN`.
    """
    out = printer()
    configuration = require(config, out)
    _check(configuration, name, wanted, profile, groups)
    now = time.time()
    secret = form.make(secrets.token_bytes(form.RANDOM_BYTES))
    until = _until(expires, now)
    token = Token(
        id=secrets.token_hex(_ID_BYTES),
        name=name,
        digest=form.digest(secret),
        created=now,
        expires=until,
        scopes=tuple(dict.fromkeys(wanted)) or None,
        groups=tuple(dict.fromkeys(groups)),
        profile=profile,
    )
    _with_store(configuration, lambda store: _add(store, token, keep=configuration.snapshot.observe.journal))
    out.result({"token": secret, **_as_json(token, now)}, secret)
    if not out.json:
        _tell_of(token, configuration, out)
    return Exit.DONE


@command.command("list")
@config_option
@format_option
@click.option("--all", "everything", is_flag=True, help="Also those that were revoked or have expired.")
def list_(config: Path | None, everything: bool) -> int:
    """List the tokens, the oldest first; what they are is not kept and cannot be shown."""
    out = printer()
    now = time.time()

    async def look(store: Store) -> list[Token]:
        return list(await store.tokens.everyone())

    found = [token for token in _with_store(require(config, out), look) if everything or token.is_good(now)]
    rows = [_row(token, now) for token in found]
    headings = ["NAME", "ID", "STATE", "EXPIRES", "PROFILE", "GROUPS", "SCOPES"]
    out.result({"tokens": [_as_json(token, now) for token in found]}, out.table(headings, rows) if rows else "")
    if not found:
        out.note("There are none. Make one with: mcp-orchestrator tokens create NAME")
    return Exit.DONE


@command.command("revoke")
@config_option
@format_option
@click.argument("which", metavar="NAME|ID")
def revoke(config: Path | None, which: str) -> int:
    """Revoke a token: a running gateway refuses it within half a second, and ends what its caller holds open.

    Calls that are being answered and work that was delegated go on.
    """
    out = printer()
    configuration = require(config, out)
    now = time.time()
    keep = configuration.snapshot.observe.journal
    gone = _with_store(configuration, lambda store: _revoke(store, which, now, keep=keep))
    if gone is None:
        bad_usage(
            f"no token of the name or id '{which}' is in force", "mcp-orchestrator tokens list shows those that are"
        )
    out.result({"revoked": _as_json(gone, now)}, f"Revoked: {safe_line(gone.name)} ({gone.id})")
    return Exit.DONE


def _check(
    configuration: Configuration, name: str, wanted: tuple[str, ...], profile: str | None, groups: tuple[str, ...]
) -> None:
    """End the command over what cannot be made a token of."""
    for what, word in [("name", name), *(("group", group) for group in groups)]:
        if not re.fullmatch(NAME, word):
            bad_usage(f"the {what} '{word}' is not {NAME_FORM}")
    for scope in wanted:
        why = scopes.trouble(scope)
        if why:
            bad_usage(why)
    profiles = configuration.snapshot.profiles
    if profile is not None and profile not in profiles:
        bad_usage(f"no profile named '{profile}'", f"the configuration has: {', '.join(profiles) or 'none'}")


def _until(expires: str, now: float) -> float | None:
    """When a token expires, in seconds since the epoch."""
    if expires == NEVER:
        return None
    seconds = parse_duration(expires)
    if seconds is None or not 1 <= seconds <= LONGEST:
        bad_usage(
            f"--expires '{expires}' is no duration from 1s to {show_duration(LONGEST)}", "write 12h, 30d or never"
        )
    return now + seconds


async def _add(store: Store, token: Token, *, keep: bool) -> None:
    from mcp_orchestrator.storage.tokens import NameTakenError  # noqa: PLC0415 - help must not pay for it

    try:
        await store.tokens.add(token)
    except NameTakenError as error:
        fix = f"revoke it first (mcp-orchestrator tokens revoke {token.name}), or choose another name"
        raise Ended(Exit.USAGE, str(error), fix=fix) from error
    if keep:
        facts = {key: value for key, value in _as_json(token, token.created).items() if key not in ("state", "created")}
        store.record(Event(EventKind.TOKEN_CREATED, token.created, None, {**facts, "by": _operator()}))


async def _revoke(store: Store, which: str, now: float, *, keep: bool) -> Token | None:
    gone: Token | None = await store.tokens.revoke(which, now)
    if gone is None:
        return None
    if keep:
        facts = {"id": gone.id, "name": gone.name, "by": _operator()}
        store.record(Event(EventKind.TOKEN_REVOKED, now, None, facts))
    return replace(gone, revoked=now)


def _operator() -> str:
    from mcp_orchestrator.runtime.callers import local_principal  # noqa: PLC0415 - help must not pay for it

    return local_principal().id


def _with_store(configuration: Configuration, work: Callable[[Store], Awaitable[Result]]) -> Result:
    """Do something with the storage of the configuration, which a running gateway may have open as well."""
    from mcp_orchestrator.storage.choice import database_of  # noqa: PLC0415 - help must not pay for it
    from mcp_orchestrator.storage.store import Store  # noqa: PLC0415 - likewise
    from mcp_orchestrator.wiring import run  # noqa: PLC0415 - likewise

    spec = configuration.snapshot.storage

    async def doing() -> Result:
        store = Store(database_of(spec), spec.durability)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.aclose()

    try:
        return run(doing)
    except OSError as error:
        raise Ended(Exit.USAGE, str(error)) from error


def _as_json(token: Token, now: float) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "principal": f"token:{token.name}",
        "state": token.state(now),
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "scopes": None if token.scopes is None else list(token.scopes),
        "groups": list(token.groups),
        "profile": token.profile,
    }


def _row(token: Token, now: float) -> list[str]:
    shown = "all" if token.scopes is None else " ".join(token.scopes)
    return [
        token.name,
        token.id,
        token.state(now),
        _day(token.expires),
        token.profile or "-",
        ", ".join(token.groups) or "-",
        shown,
    ]


def _day(at: float | None) -> str:
    return NEVER if at is None else dt.datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="minutes")


def _tell_of(token: Token, configuration: Configuration, out: Printer) -> None:
    good = "everything" if token.scopes is None else ", ".join(token.scopes)
    out.note(f"The token of token:{token.name}, good for {good} until {_day(token.expires)}. It is not shown again.")
    out.note("Clients send it as a header: Authorization: Bearer TOKEN")
    if not configuration.snapshot.identity.required:
        text = "Callers without a token are let in as well: set identity: {required: true} to let in nobody else."
        out.note(text, Style.WARN)
