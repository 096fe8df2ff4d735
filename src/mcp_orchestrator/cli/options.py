"""Options that several commands share, and a parameter's way into the printer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mcp_orchestrator.cli.printing import Format, Printer

Command = TypeVar("Command", bound=Callable[..., Any])


def printer() -> Printer:
    """The printer of the running command."""
    found = click.get_current_context().find_object(Printer)
    if found is None:
        raise click.UsageError("this command was not started by mcp-orchestrator")
    return found


def _set_format(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    found = context.find_object(Printer)
    if value is not None and found is not None:
        found.format = Format(value)


def format_option(command: Command) -> Command:
    """`--format text|json`, which goes straight into the printer."""
    return click.option(
        "--format",
        type=click.Choice([choice.value for choice in Format]),
        callback=_set_format,
        expose_value=False,
        is_eager=True,
        help="How to print results: text (default) or json.",
    )(command)


def config_option(command: Command) -> Command:
    """`--config FILE`; the parameter `config` is None when the usual places are to be searched."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The configuration (default: ./orchestrator.yaml, then the user's configuration directory).",
    )(command)


def profile_option(command: Command) -> Command:
    """`--profile NAME`; None is the view without a profile."""
    return click.option("--profile", metavar="NAME", help="Look through this profile of the configuration.")(command)
