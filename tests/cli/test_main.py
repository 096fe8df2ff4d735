"""The program as a whole: what it imports, how it starts, how it ends."""

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mcp_orchestrator import __version__
from mcp_orchestrator.cli import demo_gateway
from mcp_orchestrator.cli.main import COMMANDS, INTERRUPTED, OUTPUT_CLOSED, commands
from mcp_orchestrator.storage.reading import JournalReader
from mcp_orchestrator.storage.trouble import StorageError

PROGRAM = [sys.executable, "-m", "mcp_orchestrator"]
HEAVY = ("uvicorn", "httpx2", "mcp", "pydantic", "anyio")


def invoke(*words):
    return CliRunner().invoke(commands, list(words))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_explains_itself(name):
    shown = invoke(name, "--help")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("Usage: ")
    assert "--format" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("tools", "list"),
        ("tools", "show"),
        ("tools", "call"),
        ("backends", "list"),
        ("backends", "show"),
        ("backends", "restart"),
        ("runs", "list"),
        ("runs", "show"),
    ],
)
def test_every_subcommand_takes_a_format(words):
    shown = invoke(*words, "--help")
    assert shown.exit_code == 0
    assert "--format [text|json]" in shown.stdout


def test_help_names_every_command_and_every_exit_code():
    shown = invoke("--help")
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.stdout
    for code in range(8):
        assert f"{code} " in shown.stdout.partition("Exit codes:")[2]


def test_no_command_at_all_is_a_usage_error_with_help_on_standard_error():
    shown = invoke()
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "Commands:" in shown.stderr


def test_a_misspelt_command_is_answered_with_the_closest_one():
    shown = invoke("tool")
    assert shown.exit_code == 2
    assert "Did you mean 'tools'?" in shown.stderr
    assert shown.stdout == ""


@pytest.mark.parametrize("words", [("--format", "json", "versin"), ("version", "--format=json", "--no-such")])
def test_usage_errors_are_json_when_json_is_wanted(words):
    shown = invoke(*words)
    assert shown.exit_code == 2
    assert json.loads(shown.stderr)["error"]["exit"] == 2


@pytest.mark.parametrize("words", [("version", "--format", "json"), ("--format", "json", "version")])
def test_the_format_is_accepted_before_and_after_the_command(words):
    shown = invoke(*words)
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["version"] == __version__


def test_the_version_is_one_line():
    assert invoke("version").stdout == f"mcp-orchestrator {__version__}\n"


def run(*words, check=False):
    return subprocess.run([*PROGRAM, *words], check=check, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [("--help",), ("version",), ("serve", "--help"), ("tools", "call", "--help")])
def test_help_and_version_start_within_a_quarter_second_of_processor_time(words):
    def measured():
        before = os.times()
        done = run(*words, check=True)
        after = os.times()
        assert done.stdout
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(measured() for _ in range(3)) < 0.25


@pytest.mark.parametrize("words", [("--help",), ("version",), ("schema",), ("serve", "--help"), ("check", "--help")])
def test_light_commands_import_nothing_heavy(words):
    code = (
        "import sys\nfrom mcp_orchestrator.cli.main import main\n"
        f"sys.argv = ['mcp-orchestrator', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


def test_a_reader_that_goes_away_ends_the_program_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (OUTPUT_CLOSED, "")


def test_a_result_that_cannot_be_written_is_told_in_one_line():
    with open("/dev/full", "w", encoding="ascii") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*PROGRAM, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, "Error: the result cannot be written: No space left on device\n")


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a terminal gives it: whoever started us in the background has it ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_call_with_130_and_leaves_no_process(configured, tmp_path, tmp_state):
    path = configured(observe={"trace": False})
    command = [*PROGRAM, "tools", "call", "clock__wait", "seconds=3000", "--config", str(path)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
        state = tmp_path / "state" / "state.db"
        while child.poll() is None and not running(state):
            os.sched_yield()
        processes = demo_gateway._descendants(child.pid)
        assert len(processes) > 1
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == INTERRUPTED
        assert child.stderr.read().strip() == ""
    assert demo_gateway.still_there(processes) == []


def running(state):
    """Whether the journal shows a run under way."""
    try:
        with JournalReader(state) as journal:
            return journal.runs(status="running")
    except StorageError:  # not made yet
        return []


def test_output_that_the_terminal_cannot_show_is_escaped(tmp_path):
    (tmp_path / "é.yaml").write_text("mcpServers: {}\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*PROGRAM, "check", "é.yaml"], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    assert b"\\xe9.yaml" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--config", "FILE", "tools", "list"),
        ("tools", "--config", "FILE", "list"),
        ("tools", "list", "--config", "FILE"),
        ("--config", "elsewhere.yaml", "tools", "list", "--config", "FILE"),
        ("--config", "FILE", "backends", "list"),
        ("--config", "FILE", "check"),
        ("--config", "elsewhere.yaml", "check", "FILE"),
    ],
)
def test_the_configuration_may_be_named_before_or_after_the_command(configured, words, tmp_state):
    path = str(configured(mcpServers={}))
    shown = invoke(*(path if word == "FILE" else word for word in words))
    assert shown.exit_code == 0, shown.output


def test_check_takes_one_file_only(configured):
    shown = invoke("check", "--config", "elsewhere.yaml", str(configured()))
    assert (shown.exit_code, "name the file once" in shown.stderr) == (2, True)
