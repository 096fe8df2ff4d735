"""`version`: prints the version of this program and of the Python it runs on."""

from __future__ import annotations

import platform

import click

from mcp_orchestrator import __version__
from mcp_orchestrator.cli.options import format_option, printer
from mcp_orchestrator.core.wire.versions import LEGACY_VERSIONS, MODERN_VERSIONS


@click.command("version")
@format_option
def command() -> None:
    """Print the version.

    With --format json also the Python in use and the MCP revisions that are spoken.
    """
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "protocol": {"modern": list(MODERN_VERSIONS), "legacy": list(LEGACY_VERSIONS)},
    }
    printer().result(facts, f"mcp-orchestrator {__version__}")
