import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.cli.printing import (
    Format,
    Printer,
    Style,
    columns,
    safe,
    safe_json,
    safe_line,
    shorten,
    table,
)

CONTROLS = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n", "\t"}
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@given(ANY_TEXT)
def test_no_control_character_of_foreign_text_survives(text):
    assert not set(safe(text)) & CONTROLS
    assert not set(safe_line(text)) & (CONTROLS | {"\n", "\t"})
    safe(text).encode()


@given(
    st.recursive(ANY_TEXT | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner))
)
def test_json_means_the_same_after_it_was_made_harmless(value):
    shown = safe_json(value)
    assert not set(shown) & CONTROLS
    assert json.loads(shown) == value


def test_escape_sequences_and_direction_marks_are_written_out():
    assert safe("a\x1b[31mred\x07\u202e\r\n") == "a\\x1b[31mred\\x07\\u202e\\r\n"
    assert safe_line("a\nb\tc") == "a\\nb\\tc"


@given(st.text(max_size=40), st.integers(8, 40))
def test_shortened_text_fits(text, width):
    assert columns(shorten(text, width)) <= width


def test_columns_line_up_also_for_wide_characters():
    shown = table(["NAME", "N"], [["日本", "1"], ["ab", "22"]], None)
    assert shown.splitlines() == ["NAME  N", "日本  1", "ab    22"]


def test_a_table_for_a_pipe_is_never_cut():
    assert "x" * 500 in table(["A"], [["x" * 500]], None)


def test_names_are_cut_only_when_the_last_column_has_given_way():
    name = "n" * 30
    assert table(["NAME", "TEXT"], [[name, "word " * 50]], 60).splitlines()[1].startswith(name)
    assert all(columns(line) <= 40 for line in table(["NAME", "TEXT"], [[name, "word " * 50]], 40).splitlines())


def test_a_table_for_a_terminal_gives_way_in_its_widest_column():
    lines = table(["NAME", "TEXT"], [["short", "word " * 50]], 40).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].startswith("short  word")
    assert lines[1].endswith("...")


def test_cells_cannot_break_a_table():
    assert len(table(["A"], [["one\ntwo\x1b[2J"]], None).splitlines()) == 2


def test_results_and_notes_go_to_different_streams():
    out, err = io.StringIO(), io.StringIO()
    printer = Printer(out=out, err=err)
    printer.result({"a": 1}, "text")
    printer.note("note")
    assert (out.getvalue(), err.getvalue()) == ("text\n", "note\n")
    printer.format = Format.JSON
    printer.result({"a": 1}, "text")
    assert json.loads(out.getvalue().removeprefix("text\n")) == {"a": 1}


def test_a_failure_under_json_is_one_object_on_standard_error():
    out, err = io.StringIO(), io.StringIO()
    Printer(Format.JSON, out=out, err=err).failure(4, "gone", "start it", {"kind": "unavailable"})
    assert out.getvalue() == ""
    assert json.loads(err.getvalue()) == {
        "error": {"exit": 4, "message": "gone", "fix": "start it", "kind": "unavailable"}
    }


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, environment, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (Printer(out=Terminal()).paint("x", Style.BAD) != "x") is coloured
    assert Printer(out=io.StringIO()).paint("x", Style.BAD) == "x"


def test_the_width_is_that_of_the_terminal_or_none(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Printer(out=io.StringIO()).width is None
    monkeypatch.setenv("COLUMNS", "60")
    assert Printer(out=io.StringIO()).width == 60
