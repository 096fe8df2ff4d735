"""Options that several commands share, and a parameter's way into the printer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from mcp_orchestrator.cli.printing import Format, Printer

Command = TypeVar("Command", bound=Callable[..., Any])

_CONFIG: Final = "mcp_orchestrator.config"


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


def _given_before(context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """The file named here, else the one that was named before the command's name."""
    if value is not None:
        context.meta[_CONFIG] = value
    named: Path | None = context.meta.get(_CONFIG)
    return named


def config_option(command: Command) -> Command:
    """`--config FILE`; the parameter `config` is None when the usual places are to be searched."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        callback=_given_before,
        help="The configuration (default: ./orchestrator.yaml, then the user's configuration directory).",
    )(command)


def config_before(command: Command) -> Command:
    """`--config FILE` before the name of a command; the command's own one counts more."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        callback=_given_before,
        expose_value=False,
        help="The configuration, for the command that follows.",
    )(command)


def profile_option(command: Command) -> Command:
    """`--profile NAME`; None is the view without a profile."""
    return click.option("--profile", metavar="NAME", help="Look through this profile of the configuration.")(command)
