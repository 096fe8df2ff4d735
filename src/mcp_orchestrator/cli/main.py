"""The entry point: finds the command, imports its module only then, and turns endings into exit codes."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.options import config_before, format_option
from mcp_orchestrator.cli.printing import Format, Printer

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("serve", "Serve MCP clients: over HTTP, or one client on stdin and stdout."),
    "check": ("check", "Check a configuration; starts nothing."),
    "plan": ("plan", "Explain where a call would go and why, without making it."),
    "doctor": ("doctor", "Look for what is wrong on this machine, and say how to mend it."),
    "demo": ("demo", "A guided minute with two small servers; changes nothing."),
    "tools": ("tools", "List, show and call tools."),
    "backends": ("backends", "List, show and restart backends."),
    "budgets": ("budgets", "List and show budgets: spent, held, left, and when their windows end."),
    "runs": ("runs", "List and show runs from the journal."),
    "audit": ("audit", "Prove that the journal is whole; export its events."),
    "tokens": ("tokens", "Make, list and revoke the tokens that callers sign in with."),
    "schema": ("schema", "Print the JSON Schema of the configuration, for editors."),
    "version": ("version", "Print the version."),
}
"""Every command: the module of `mcp_orchestrator.cli` that holds it as `command`, and what it does in one line."""

INTERRUPTED: Final = 130
"""128 + SIGINT: what every program ends with that Ctrl-C stopped."""

OUTPUT_CLOSED: Final = 141
"""128 + SIGPIPE: the reader of our output went away."""


class Commands(click.Group):
    """The commands by name; help needs none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, its module imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mcp_orchestrator.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or a usage error with the closest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry the command out; a reader that went away ends it quietly."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_output()
            return OUTPUT_CLOSED

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands for `--help`, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and leave with its exit code (SystemExit); the standalone mode of click is not used."""
        del standalone_mode
        words = list(sys.argv[1:] if args is None else args)
        printer = Printer(Format.JSON if _asks_json(words) else Format.TEXT)
        sys.exit(self._ended(words, prog_name, complete_var, printer, extra))

    def _ended(
        self,
        words: list[str],
        prog_name: str | None,
        complete_var: str | None,
        printer: Printer,
        extra: dict[str, Any],
    ) -> int:
        try:
            value = super().main(words, prog_name, complete_var, standalone_mode=False, obj=printer, **extra)
        except Ended as ended:
            printer.failure(ended.code, ended.message, ended.fix, ended.details)
            if ended.code is Exit.UNEXPECTED:
                _drop_output()  # what could not be written is not tried again at the interpreter's end
            return ended.code
        except click.exceptions.NoArgsIsHelpError as error:
            printer.note(error.format_message())
            return Exit.USAGE
        except click.ClickException as error:
            printer.failure(Exit.USAGE, _sentence(error), _more_help(error), {})
            return Exit.USAGE
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        return value if isinstance(value, int) else Exit.DONE


@click.group(
    cls=Commands,
    name="mcp-orchestrator",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 sign-in needed, 4 unreachable, "
    "5 the tool failed, 6 refused by policy or budget, 7 a person must answer.",
)
@config_before
@format_option
def commands() -> None:
    """One MCP endpoint above all MCP servers and agents.

    Start with `mcp-orchestrator demo`, then `mcp-orchestrator serve`.
    """


def main() -> None:
    """The console script. Leaves by SystemExit with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows escapes, not a traceback
    commands.main(prog_name="mcp-orchestrator")


def _asks_json(words: Sequence[str]) -> bool:
    """Whether JSON is wanted, told before options are parsed, so that usage errors are printed in it too."""
    pairs = itertools.pairwise([*words, ""])
    return any(word == "--format=json" or (word == "--format" and value == "json") for word, value in pairs)


def _sentence(error: click.ClickException) -> str:
    return error.format_message()


def _more_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see {context.command_path} --help" if context is not None else ""


def _drop_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(io.UnsupportedOperation):  # a stream without a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
