"""`serve`: serves MCP clients over HTTP, or one client on stdin and stdout."""

from __future__ import annotations

import dataclasses
import errno
import sys
from pathlib import Path

import click

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_option, format_option, printer, profile_option
from mcp_orchestrator.cli.printing import Printer
from mcp_orchestrator.config.identities import is_loopback
from mcp_orchestrator.model.snapshot import HttpSpec


@click.command("serve")
@click.option("--stdio", is_flag=True, help="Serve one client on stdin and stdout instead of HTTP.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port (0: any free one).")
@click.option("--host", metavar="ADDRESS", help="Listen on this address.")
@config_option
@profile_option
@format_option
def command(stdio: bool, port: int | None, host: str | None, config: Path | None, profile: str | None) -> int:
    """Serve MCP clients until stopped.

    Over HTTP, both eras at one endpoint, on the address of the configuration; with --stdio, one client, as programs
    start it that know only commands. What happens is told on standard error. SIGTERM and Ctrl-C let open calls
    finish, a second one ends at once; SIGHUP reads the configuration again.
    """
    out = printer()
    if stdio and (port is not None or host is not None):
        raise click.UsageError("--port and --host are for HTTP: leave --stdio out", click.get_current_context())
    configuration = require(config, out, warn=True)
    http = _placed(configuration.snapshot.http, host, port)
    if not stdio and not is_loopback(http.host) and not configuration.snapshot.identity.required:
        fix = "add identity: {required: true} to the configuration and make tokens (tokens create NAME), or leave --host out"
        raise Ended(Exit.USAGE, f"{http.host} is open to the network, but nobody has to sign in", fix=fix)
    profiles = configuration.snapshot.profiles
    if profile is not None and profile not in profiles:
        known = ", ".join(profiles) or "none"
        raise Ended(Exit.USAGE, f"no profile named '{profile}'", fix=f"the configuration has: {known}")
    if stdio and sys.stdin.isatty():
        out.note("This speaks MCP on stdin and stdout. For a server that clients reach over HTTP, leave --stdio out.")
    try:
        _run(configuration, out, profile, http, stdio=stdio)
    except OSError as error:
        raise _not_started(error, http) from error
    return Exit.DONE


def _run(configuration: Configuration, out: Printer, profile: str | None, http: HttpSpec, *, stdio: bool) -> None:
    from mcp_orchestrator.cli.serving import Service  # noqa: PLC0415 - help must not pay for the engine
    from mcp_orchestrator.wiring import run  # noqa: PLC0415 - likewise

    service = Service(configuration, out, profile, http)
    run(service.stdio if stdio else service.http)


def _placed(http: HttpSpec, host: str | None, port: int | None) -> HttpSpec:
    """The listener with the address of the command line in place of the configuration's."""
    if host is not None:
        http = dataclasses.replace(http, host=host)
    if port is not None:
        http = dataclasses.replace(http, port=port)
    return http


def _not_started(error: OSError, http: HttpSpec) -> Ended:
    """Why the gateway could not start, with what to do about it."""
    where = f"{http.host}:{http.port}"
    match error.errno:
        case errno.EADDRINUSE:
            fix = "stop the other program, or choose another port: --port N, or listeners.http.port"
            return Ended(Exit.USAGE, f"{where} is in use by another program", fix=fix)
        case errno.EACCES if error.filename is None:
            return Ended(Exit.USAGE, f"{where} may not be used", fix="ports below 1024 need rights: choose another")
        case errno.EADDRNOTAVAIL:
            fix = "use 127.0.0.1, or an address of this machine"
            return Ended(Exit.USAGE, f"{http.host} is not an address of this machine", fix=fix)
        case _:
            return Ended(Exit.USAGE, str(error))
