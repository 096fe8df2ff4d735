"""`demo`: a guided minute with two small servers; every step is checked, and nothing is left behind."""

from __future__ import annotations

import sys

import click

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.options import format_option, printer


@click.command("demo")
@format_option
def command() -> int:
    """A guided minute with two small servers; changes nothing.

    Starts a gateway of its own in a temporary directory with two real MCP servers behind it, lists and calls their
    tools as a client over HTTP, kills one of them in the middle of a call, shows why a call goes where it goes, and
    reads the journal. Exit code 1 when any step shows something else than it should.
    """
    from mcp_orchestrator.cli.demonstration import Demonstration  # noqa: PLC0415 - help must not pay for the engine

    out = printer()
    if sys.platform == "win32":
        out.note("The demo needs POSIX signals.")
        return Exit.UNEXPECTED
    demonstration = Demonstration(out)
    worked = demonstration.run()
    if out.json:
        out.result({"ok": worked, "steps": demonstration.steps}, "")
    return Exit.DONE if worked else Exit.UNEXPECTED
