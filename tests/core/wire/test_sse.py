import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.wire.sse import EventTooLargeError, Parser, ServerSentEvent, encode_event

STREAM = (
    b"\xef\xbb\xbf: hello\r\n\r\nevent: message\r\ndata: one\r\nid: 1\r\n\r\n"
    b"data:two\ndata: lines\n\nid: 2\ndata\n\nretry: 250\rdata: x\r\r: ping\n\nevent: endpoint\ndata: /m?s=\xc3\xa9\n\n"
)
EVENTS = [
    ServerSentEvent("message", b"one", "1"),
    ServerSentEvent("message", b"two\nlines"),
    ServerSentEvent("message", b"", "2"),
    ServerSentEvent("message", b"x", None, 250),
    ServerSentEvent("endpoint", "/m?s=é".encode()),
]


def feed_all(parser, chunks):
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_every_kind_of_line_end_comment_and_field_is_understood():
    assert Parser().feed(STREAM) == EVENTS


def test_a_stream_may_be_cut_at_every_byte():
    assert feed_all(Parser(), (STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_may_be_cut_anywhere(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert feed_all(Parser(), [STREAM[a:b] for a, b in itertools.pairwise(edges)]) == EVENTS


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=40), st.none() | st.text("abc-_9", min_size=1, max_size=8)), max_size=6
    ),
    st.integers(1, 50),
)
def test_what_is_encoded_comes_back(messages, step):
    wire = b"".join(encode_event(data, event_id=event_id) for data, event_id in messages)
    events = feed_all(Parser(), (wire[i : i + step] for i in range(0, len(wire), step)))
    expected = [(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), event_id) for data, event_id in messages]
    assert [(event.data, event.id) for event in events] == expected


def test_an_encoded_event_is_three_lines_and_a_blank_one():
    assert encode_event(b"{}", event_id="7") == b"event: message\nid: 7\ndata: {}\n\n"
    assert encode_event(b"{}", event=None) == b"data: {}\n\n"
    assert encode_event(b"", event=None, event_id="7", retry=1000) == b"id: 7\nretry: 1000\ndata: \n\n"


def test_line_ends_in_a_name_or_id_cannot_forge_an_event():
    wire = encode_event(b"{}", event="a\nb", event_id="1\r\n\r\ndata: forged")
    assert Parser().feed(wire) == [ServerSentEvent("ab", b"{}", "1data: forged")]


def test_an_event_beyond_the_bound_is_refused_however_it_comes():
    with pytest.raises(EventTooLargeError):
        Parser(100).feed(b"data: " + b"x" * 101)
    with pytest.raises(EventTooLargeError):
        feed_all(Parser(100), [b"data: " + b"x" * 40 + b"\n"] * 3)
    with pytest.raises(EventTooLargeError):
        feed_all(Parser(100), [b"x"] * 200)


def test_an_event_at_the_bound_and_any_number_of_small_ones_pass():
    wire = (b"data: " + b"x" * 94 + b"\n\n") * 50
    assert len(Parser(100).feed(wire)) == 50


def test_an_event_of_more_than_a_mebibyte_passes_by_default():
    data = b'"' + b"x" * 1_150_000 + b'"'
    wire = encode_event(data)
    assert feed_all(Parser(), (wire[i : i + 65536] for i in range(0, len(wire), 65536)))[0].data == data


def test_bad_ids_and_retry_times_are_ignored():
    assert Parser().feed(b"id: a\0b\nretry: soon\ndata: x\n\n") == [ServerSentEvent("message", b"x")]
