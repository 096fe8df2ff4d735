"""`schema`: prints the JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import click

from mcp_orchestrator.cli.options import format_option, printer
from mcp_orchestrator.cli.printing import safe_json


@click.command("schema")
@format_option
def command() -> None:
    """Print the JSON Schema of the configuration.

    Editors complete and check orchestrator.yaml with it. Both formats print the same JSON.
    """
    from mcp_orchestrator.config.editor_schema import editor_schema  # noqa: PLC0415 - help must not pay for it

    printer().line(safe_json(editor_schema()))
