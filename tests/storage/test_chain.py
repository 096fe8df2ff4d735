"""The chain: any change of any row is seen and the row is named; nothing an event holds can stop it."""

import hashlib
import math
import struct
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.storage.chain import COLUMNS, GENESIS, MAX_DATA_BYTES, Link, chain_rows, check_rows

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(list(EventKind)),
        st.floats(),
        st.none() | st.text(),
        st.dictionaries(st.text(), JSON, max_size=4),
    ),
    min_size=1,
    max_size=6,
)


def as_read(cells):
    """Rows as a reader with byte texts gets them."""
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    return [[cell.encode() if isinstance(cell, str) else cell for cell in row] for row in rows]


def rows_of(*events):
    cells, end = chain_rows(events, Link())
    return as_read(cells), end


def event(**data):
    return Event(EventKind.RUN_STARTED, 12.5, "r1", data)


@given(EVENTS)
def test_what_was_written_checks_out(events):
    rows, end = rows_of(*events)
    verdict = check_rows(rows, Link())
    assert verdict.fault is None
    assert (verdict.rows, verdict.end) == (len(events), end)


@given(EVENTS, EVENTS)
def test_batches_make_the_same_chain_as_one(first, second):
    together, _link = chain_rows([*first, *second], Link())
    one, link = chain_rows(first, Link())
    two, _link = chain_rows(second, link)
    assert one + two == together


@given(EVENTS, st.data())
def test_a_flipped_bit_anywhere_is_seen_and_its_row_named(events, data):
    rows, _end = rows_of(*events)
    index = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from([2, 3, 4, 5]))
    cell = rows[index][column] or b"\0"
    place = data.draw(st.integers(0, len(cell) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    rows[index][column] = cell[:place] + bytes([cell[place] ^ bit]) + cell[place + 1 :]
    fault = check_rows(rows, Link()).fault
    assert fault is not None
    assert fault.seq == index + 1


@given(EVENTS, st.data())
def test_another_time_is_seen(events, data):
    rows, _end = rows_of(*events)
    index = data.draw(st.integers(0, len(rows) - 1))
    rows[index][1] = math.nextafter(rows[index][1], math.inf)
    assert check_rows(rows, Link()).fault.seq == index + 1


@given(EVENTS.filter(lambda events: len(events) > 1), st.data())
def test_a_row_that_was_taken_out_is_named(events, data):
    rows, _end = rows_of(*events)
    index = data.draw(st.integers(0, len(rows) - 2))
    del rows[index]
    assert check_rows(rows, Link()).fault.seq == index + 1


def test_a_row_whose_number_was_changed_to_close_a_hole_is_named():
    rows, _end = rows_of(event(a=1), event(a=2), event(a=3))
    del rows[1]
    rows[1][0] = 2
    assert check_rows(rows, Link()).fault.seq == 2


def test_cells_cannot_be_pushed_across_a_border():
    rows, _end = rows_of(event(a=1))
    rows[0][2], rows[0][3] = rows[0][2][:-1], rows[0][2][-1:] + rows[0][3]
    assert check_rows(rows, Link()).fault.seq == 1


def test_cells_of_another_type_are_a_fault_and_no_exception():
    for column, value in ((1, 3), (1, None), (2, None), (2, 5), (3, 5), (3, b""), (4, None), (5, None)):
        rows, _end = rows_of(event(a=1))
        rows[0][column] = value
        assert check_rows(rows, Link()).fault.seq == 1


def test_an_empty_chain_is_where_it_began():
    assert check_rows([], Link()).end == Link(0, GENESIS)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"bad": "\ud800"}, "unencodable"),
        ({(1, 2): 1}, "unencodable"),
        ({"big": "x" * MAX_DATA_BYTES}, "oversize"),
        ({"secret": Secret("hunter2")}, "<secret>"),
        ({"some": {3}, "more": MappingProxyType({"a": 1})}, '{"a":1}'),
    ],
)
def test_what_is_no_plain_json_is_recorded_as_its_description(data, shown):
    cells, _end = chain_rows([Event(EventKind.RUN_STARTED, 1.0, "r", data)], Link())
    assert shown in cells[4]
    assert "hunter2" not in cells[4]
    assert len(cells[4]) < 10_000
    assert check_rows(as_read(cells), Link()).fault is None


def test_data_that_holds_itself_is_recorded_as_its_description():
    loop = {}
    loop["self"] = loop
    cells, _end = chain_rows([Event(EventKind.RUN_STARTED, 1.0, "r", loop)], Link())
    assert "unencodable" in cells[4]


def test_data_nested_without_end_is_recorded_as_its_description():
    deep = []
    for _level in range(100_000):
        deep = [deep]
    cells, _end = chain_rows([Event(EventKind.RUN_STARTED, 1.0, "r", {"deep": deep})], Link())
    assert "nested too deeply" in cells[4]


def test_odd_runs_and_times_are_kept_out():
    odd = [
        Event(EventKind.RUN_STARTED, math.nan, "a\0b"),
        Event(EventKind.RUN_STARTED, math.inf, ""),
        Event(EventKind.RUN_STARTED, 1.0, "\udfff"),
    ]
    rows, _end = rows_of(*odd)
    assert [row[1] for row in rows] == [0.0, 0.0, 1.0]
    assert [row[3] for row in rows] == ["a\N{REPLACEMENT CHARACTER}b".encode(), None, b"?"]
    assert check_rows(rows, Link()).fault is None


def test_the_hash_is_made_as_the_reference_says():
    rows, _end = rows_of(event(a=1), Event(EventKind.GATEWAY_STOPPED, 2.0))
    previous = bytes(32)
    for seq, at, kind, run, data, found in rows:
        parts = [previous, seq.to_bytes(8), struct.pack(">d", at), kind, b"\0", run or b"", b"\0", data]
        previous = hashlib.sha256(b"".join(parts)).digest()
        assert found == previous
