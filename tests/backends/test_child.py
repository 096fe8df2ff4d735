"""A child gets exactly its environment, cannot drown us, and is ended with all its offspring."""

import json
import os
import sys

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdio_kit import gone, spec

from mcp_orchestrator.backends.child import MAX_BUFFERED, PASSED, STDERR_LINE, Child, child_environment, find_program
from mcp_orchestrator.config.sections import BASIC_ENVIRONMENT
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret

pytestmark = pytest.mark.anyio


class Ears:
    """What a child said, and a condition to wait for."""

    def __init__(self):
        self.lines, self.errors, self.overlong, self.ends = [], [], [], []
        self.event = anyio.Event()

    def note(self, kept):
        def take(*said):
            kept.append(said[0] if len(said) == 1 else said)
            self.event.set()

        return take

    async def until(self, condition):
        with anyio.fail_after(20):
            while not condition():
                self.event = anyio.Event()
                await self.event.wait()


@pytest.fixture
async def start(reaper):
    children = []

    async def make(program, *arguments, environ=os.environ, **settings):
        ears = Ears()
        child = Child(
            spec(name="x", args=("-u", "-c", program, *arguments), **settings),
            reaper,
            on_line=ears.note(ears.lines),
            on_overlong=ears.note(ears.overlong),
            on_stderr=ears.note(ears.errors),
            on_end=ears.note(ears.ends),
        )
        children.append(child)
        await child.spawn(environ)
        return child, ears

    yield make
    for child in children:
        await child.stop()


def test_only_the_allow_list_and_what_is_configured_is_inherited():
    environ = dict.fromkeys(PASSED, "kept") | {"LC_ALL": "C", "XDG_DATA_HOME": "/d", "CANARY": "secret", "WANTED": "w"}
    configured = spec(inherit_env=("WANTED", "ABSENT"), env=(("TOKEN", Secret("t")), ("LANG", Secret("de"))))
    made = child_environment(configured, environ)
    assert "CANARY" not in made
    assert made == {**dict.fromkeys(PASSED, "kept"), "LC_ALL": "C", "XDG_DATA_HOME": "/d", "WANTED": "w"} | {
        "TOKEN": "t",
        "LANG": "de",
    }


@given(st.dictionaries(st.text(), st.text()))
def test_no_other_variable_gets_through(environ):
    allowed = {name for name in environ if name in PASSED or name.startswith(("LC_", "XDG_"))}
    assert set(child_environment(spec(), environ)) == allowed


async def test_the_running_child_sees_the_canary_neither_by_name_nor_by_value(start):
    program = "import os,json;print(json.dumps(dict(os.environ)))"
    environ = {**os.environ, "CANARY_NAME": "canary-value", "MCP_ORCHESTRATOR_CHILD": "of-another-gateway"}
    child, ears = await start(program, environ=environ, env=(("TOKEN", Secret("t-1")),))
    await ears.until(lambda: ears.lines)
    seen = json.loads(ears.lines[0])
    assert "canary" not in ears.lines[0].decode().lower()
    assert (seen["TOKEN"], seen["MCP_ORCHESTRATOR_CHILD"]) == ("t-1", child.marker)
    names = {name for name in seen if name not in PASSED and not name.startswith(("LC_", "XDG_"))}
    assert names == {"TOKEN", "MCP_ORCHESTRATOR_CHILD", "MCP_ORCHESTRATOR_GATEWAY"}


def test_what_children_inherit_is_what_the_reference_says():
    windows = {
        name for name in PASSED if name in {"TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR", "COMSPEC", "PATHEXT"}
    }
    windows |= {name for name in PASSED if name.startswith(("APP", "LOCALAPP", "PROGRAM", "SYSTEM"))}
    assert windows < PASSED
    assert PASSED - windows <= set(BASIC_ENVIRONMENT)


def test_a_program_that_is_not_there_is_told_with_the_way_out():
    with pytest.raises(BackendError, match=r"'npx' is not on the PATH \(/nowhere\); install Node.js") as caught:
        find_program(spec(command="npx"), "/nowhere")
    assert (caught.value.kind, caught.value.sent) == (FailureKind.UNAVAILABLE, False)


def test_a_program_is_looked_up_on_the_childs_own_path(tmp_path):
    program = tmp_path / "own-tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_program(spec(command="own-tool"), str(tmp_path)) == str(program)
    assert find_program(spec(command="./own-tool", cwd=str(tmp_path)), "") == str(program)


def test_a_program_beside_our_own_interpreter_is_found_with_the_bare_path_of_a_desktop(tmp_path, monkeypatch):
    program = tmp_path / "own-tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_program(spec(command="own-tool"), "/nowhere") == str(program)


def test_a_file_that_may_not_be_executed_is_told_so(tmp_path):
    program = tmp_path / "tool"
    program.write_text("")
    with pytest.raises(BackendError, match="may not be executed; chmod"):
        find_program(spec(command=str(program)), "")
    with pytest.raises(BackendError, match="there is no program"):
        find_program(spec(command=str(tmp_path / "other")), "")


def test_a_directory_that_is_not_there_is_told_with_where_it_is_configured():
    with pytest.raises(BackendError, match=r"no directory '/nowhere'; create it or mend `cwd` \(o.yaml:7\)"):
        find_program(spec(cwd="/nowhere", where="o.yaml:7"), "")


async def test_a_file_that_is_no_program_cannot_be_started(start, tmp_path):
    program = tmp_path / "tool"
    program.write_bytes(b"\x00\x01")
    program.chmod(0o755)
    with pytest.raises(BackendError, match="cannot be started: Exec format error"):
        await start("", command=str(program))


async def test_lines_go_both_ways_and_the_last_needs_no_line_feed(start):
    child, ears = await start("import sys\nfor l in sys.stdin: print(l[::-1].strip())\nsys.stdout.write('bye')")
    child.write(b"abc")
    child.write(b"def")
    await ears.until(lambda: len(ears.lines) == 2)
    await child.stop()
    assert ears.lines == [b"cba", b"fed", b"bye"]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys;sys.exit(3)", "ended (exit code 3)"),
        ("import os;os.kill(os.getpid(), 9)", "was ended by signal SIGKILL"),
        ("import os,signal;os.close(1);signal.pause()", "closed its standard output or input"),
    ],
)
async def test_the_end_is_told_once_with_its_reason(start, program, reason):
    child, ears = await start(program)
    await ears.until(lambda: ears.ends)
    child.write(b"too late")
    await child.stop()
    assert ears.ends == [reason]


async def test_the_end_is_told_even_if_a_grandchild_keeps_the_pipes_open(start):
    program = "import subprocess,sys;subprocess.Popen([sys.executable,'-c','import signal;signal.pause()']);sys.exit(4)"
    _child, ears = await start(program)
    await ears.until(lambda: ears.ends)
    assert ears.ends == ["ended (exit code 4)"]


async def test_a_flood_on_standard_error_is_bounded_counted_and_harmless(start):
    program = (
        "import sys\nfor i in range(200): sys.stderr.write(('x' * 99 + '\\n') * 1000)\n"
        "sys.stderr.flush();print('done')\nsys.stdin.read()"
    )
    child, ears = await start(program)
    await ears.until(lambda: ears.lines)
    await child.stop()
    assert len(ears.errors) < 40_000
    assert any("came too fast and were not kept" in line for line in ears.errors)


async def test_a_long_line_on_standard_error_is_cut(start):
    _child, ears = await start(f"import sys;sys.stderr.write('a' * {STDERR_LINE * 3} + '\\nnext\\n')")
    await ears.until(lambda: len(ears.errors) == 2)
    assert ears.errors[0] == "a" * 4096 + " ... (line cut)"
    assert ears.errors[1] == "next"


async def test_a_giant_line_is_thrown_away_without_keeping_it(start):
    _child, ears = await start("import sys;print('h' * 300_000);print('next')", max_result_bytes=1000)
    await ears.until(lambda: ears.lines)
    assert ears.lines == [b"next"]
    assert max(len(head) for head, _tail in ears.overlong) == 4096


async def test_a_child_that_does_not_read_makes_new_calls_fail_not_memory_grow(start):
    child, _ears = await start("import signal;signal.pause()")
    piece = b"x" * (1 << 20)

    async def fill():
        for _ in range(2 * MAX_BUFFERED // len(piece)):
            child.write(piece)
            await anyio.lowlevel.checkpoint()

    with pytest.raises(BackendError, match="does not read its input") as caught:
        await fill()
    assert (caught.value.kind, caught.value.sent) == (FailureKind.OVERLOADED, False)


async def test_closing_its_input_is_enough_for_a_well_behaved_child(start):
    child, ears = await start("import sys\nsys.stdin.read()\nprint('tidied up')")
    await child.stop()
    assert ears.lines == [b"tidied up"]


async def test_a_child_works_on_after_we_closed_its_input(start, monkeypatch):
    """Programs that take one task read to the end of their input, and only then begin."""
    monkeypatch.setattr("mcp_orchestrator.backends.child._LAST_WORDS", 0)
    child, ears = await start("import sys, signal; sys.stdin.read(); print('done'); signal.pause()")
    child.close_input()
    await ears.until(lambda: ears.lines or ears.ends)
    assert (ears.lines, ears.ends) == ([b"done"], [])


async def test_a_stubborn_child_is_gone_within_the_ladder(start):
    child, ears = await start("import signal\nsignal.signal(15, signal.SIG_IGN)\nprint(1)\nwhile True: signal.pause()")
    await ears.until(lambda: ears.lines)
    pid = child.pid
    with anyio.fail_after(8):
        await child.stop()
        await child.stop()
    assert gone(pid, 0.0)


async def test_offspring_that_left_the_session_goes_with_a_normal_stop(start):
    program = (
        "import os,subprocess,sys\n"
        "c = subprocess.Popen([sys.executable, '-c', 'import os,signal\\nif os.fork(): os._exit(0)\\nos.setsid()\\n"
        "print(os.getpid(),flush=True)\\nsignal.pause()'], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)\n"
        "print(c.stdout.readline().decode().strip())\nsys.stdin.read()"
    )
    child, ears = await start(program)
    await ears.until(lambda: ears.lines)
    escaped = int(ears.lines[0])
    assert not gone(escaped, 0.0)
    await child.stop()
    assert gone(escaped)


async def test_a_stop_that_is_cancelled_is_carried_through_all_the_same(start):
    child, ears = await start("import signal\nsignal.signal(15, signal.SIG_IGN)\nprint(1)\nwhile True: signal.pause()")
    await ears.until(lambda: ears.lines)
    with anyio.move_on_after(0.01):
        await child.stop()
    assert await anyio.to_thread.run_sync(gone, child.pid)


async def test_a_secret_argument_reaches_the_child(reaper):
    ears = Ears()
    arguments = ("-c", "import sys;print(sys.argv[1])", Secret("s3cret"))
    child = Child(
        spec(args=arguments),
        reaper,
        on_line=ears.note(ears.lines),
        on_overlong=ears.note(ears.overlong),
        on_stderr=ears.note(ears.errors),
        on_end=ears.note(ears.ends),
    )
    await child.spawn(os.environ)
    await ears.until(lambda: ears.ends)
    await child.stop()
    assert ears.lines == [b"s3cret"]
    assert sys.executable.encode() not in ears.lines
