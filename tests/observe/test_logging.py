"""Log lines: where they go, what they never show, and that nobody waits for them."""

import io
import json
import logging
import os
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.observe.logging import make_logger, route_standard_logging, visible


class Terminal(io.StringIO):
    def isatty(self):
        return True


def logged(format_, write, stream=None):
    stream = stream or io.StringIO()
    write(make_logger("info", format_, stream))
    return stream.getvalue()


def test_text_lines_have_time_level_event_and_values():
    line = logged("text", lambda log: log.info("backend ready", backend="files", ms=12.5, tools=["a"], why="two words"))
    time, rest = line.split(" ", 1)
    assert len(time) == 8
    assert rest == 'info     backend ready backend=files ms=12.5 tools=["a"] why="two words"\n'


def test_json_lines_are_one_object_each():
    line = logged("json", lambda log: log.warning("backend failed", backend="files", error={"code": 1}))
    found = json.loads(line)
    assert line.count("\n") == 1
    assert list(found) == ["time", "level", "event", "backend", "error"]
    assert found["time"].endswith("+00:00")
    assert (found["level"], found["error"]) == ("warning", {"code": 1})


@pytest.mark.parametrize("format_", ["text", "json"])
def test_secrets_are_masked_at_any_depth(format_):
    secret = Secret("hunter2")
    line = logged(format_, lambda log: log.error("x", a=secret, b={"c": [secret]}, d=(secret,)))
    assert "hunter2" not in line
    assert line.count("<secret>") == 3


@pytest.mark.parametrize("format_", ["text", "json"])
@given(st.text(alphabet=st.characters(), min_size=1))
def test_foreign_text_can_neither_forge_a_line_nor_steer_the_terminal(format_, text):
    line = logged(format_, lambda log: log.error(text, value=text, deep={"x": [text]}, **{"k" + text: 1}))
    assert line.endswith("\n")
    body = line[:-1].replace("\t", "")
    assert [c for c in body if not c.isprintable() and c in "\x1b\n\r\x00\x7f\x9b\u202e\u2028"] == []
    if format_ == "json":
        json.loads(line)


def test_escapes_show_what_was_there():
    assert visible("a\x1b[31m\n\x9b\u202e\ttab \ud800") == "a\\x1b[31m\\x0a\\x9b\\u202e\ttab \\ud800"


@pytest.mark.parametrize("format_", ["text", "json"])
def test_exceptions_come_with_their_traceback(format_):
    def write(log):
        try:
            int("told \x1b[31m")
        except ValueError:
            log.exception("it broke")

    text = logged(format_, write)
    assert "ValueError: invalid literal" in text
    assert "Traceback" in text
    assert "\x1b" not in text


def test_levels_below_the_chosen_one_are_silent():
    stream = io.StringIO()
    log = make_logger("warning", "text", stream)
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert stream.getvalue().count("\n") == 1


def test_what_is_no_json_is_shown_all_the_same():
    loop = []
    loop.append(loop)
    assert "unencodable" in logged("json", lambda log: log.info("x", loop=loop))
    assert "unencodable" in logged("text", lambda log: log.info("x", loop=loop))


def test_colours_are_for_terminals_and_no_color_is_heard(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in logged("text", lambda log: log.error("x"), Terminal())
    assert "\x1b" not in logged("text", lambda log: log.error("x"))
    assert "\x1b" not in logged("json", lambda log: log.error("x"), Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in logged("text", lambda log: log.error("x"), Terminal())


def test_standard_output_and_unknown_words_are_refused():
    with pytest.raises(ValueError, match="standard output"):
        make_logger("info", "text", sys.stdout)
    with pytest.raises(ValueError, match="loud"):
        make_logger("loud", "text", io.StringIO())
    with pytest.raises(ValueError, match="xml"):
        make_logger("info", "xml", io.StringIO())


def test_a_closed_stream_raises_nothing():
    stream = io.StringIO()
    log = make_logger("info", "text", stream)
    stream.close()
    log.info("nobody hears")


def test_a_pipe_that_nobody_reads_does_not_stop_us_and_the_loss_is_told():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        log = make_logger("info", "text", stream)
        for _line in range(2000):
            log.info("x" * 100, more="y" * 10_000)
        while len(os.read(reading, 65536)) == 65536:
            pass
        log.info("heard again")
        text = os.read(reading, 65536).decode()
    os.close(reading)
    assert "lines of log were dropped" in text
    assert text.endswith("heard again\n")


def test_a_reader_that_left_raises_nothing():
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    log = make_logger("info", "text", stream)
    os.close(reading)
    log.info("nobody hears")
    log.info("nobody hears")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_what_libraries_warn_of_is_passed_on_and_full_urls_are_not():
    stream = io.StringIO()
    undo = route_standard_logging(make_logger("debug", "json", stream))
    try:
        logging.getLogger("httpx2").info("HTTP Request: GET https://x/?token=hunter2")
        logging.getLogger("uvicorn.error").warning("odd %s", "request")
        logging.getLogger("other").error("failed")
    finally:
        undo()
    logging.getLogger("uvicorn.error").debug("nobody")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"], line["source"]) for line in lines] == [
        ("warning", "odd request", "uvicorn.error"),
        ("error", "failed", "other"),
    ]
    assert "hunter2" not in stream.getvalue()
    assert logging.getLogger("httpx2").level == logging.NOTSET


def test_a_library_that_formats_wrongly_is_passed_on_as_its_template():
    stream = io.StringIO()
    before = logging.root.handlers[:]
    undo = route_standard_logging(make_logger("debug", "text", stream))
    (door,) = [handler for handler in logging.root.handlers if handler not in before]
    door.emit(logging.LogRecord("other", logging.ERROR, "", 0, "%d", ("not a number",), None))
    undo()
    assert " %d source=other" in stream.getvalue()
    assert logging.root.handlers == before


def test_tracebacks_of_libraries_come_along():
    stream = io.StringIO()
    undo = route_standard_logging(make_logger("debug", "text", stream))
    try:
        {}["gone"]
    except KeyError:
        logging.getLogger("other").exception("it broke")
    finally:
        undo()
    assert "KeyError: 'gone'" in stream.getvalue()


def test_importing_changes_nothing_global():
    code = (
        "import logging, structlog, sys; before = (structlog.is_configured(), list(logging.root.handlers));"
        "import mcp_orchestrator.observe.logging;"
        "sys.exit(before != (structlog.is_configured(), list(logging.root.handlers)))"
    )
    with warnings.catch_warnings():
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
