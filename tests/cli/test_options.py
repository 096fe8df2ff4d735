import click
import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.options import format_option, printer
from mcp_orchestrator.cli.printing import Format, Printer


@click.command()
@format_option
def probe():
    click.echo(printer().format.value)


def test_the_format_reaches_the_printer():
    assert CliRunner().invoke(probe, ["--format", "json"], obj=Printer()).output == "json\n"
    assert CliRunner().invoke(probe, [], obj=Printer(Format.JSON)).output == "json\n"


def test_a_command_without_a_printer_was_started_in_the_wrong_way():
    with pytest.raises(click.UsageError):
        CliRunner().invoke(probe, [], standalone_mode=False, catch_exceptions=False)
