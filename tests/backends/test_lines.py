"""A stream is cut into lines whatever its chunks, and no unfinished line grows without bound."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.lines import ENDLESS, Lines


def collect(limit, chunks, verdicts=()):
    lines, overlong, answers = [], [], list(verdicts)

    def on_overlong(head, tail):
        overlong.append((head, tail))
        return answers.pop(0) if answers else False

    splitter = Lines(limit, lines.append, on_overlong)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.finish()
    return lines, overlong


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"x"))), st.lists(st.integers(0, 40)))
def test_any_cut_of_the_stream_gives_the_same_lines(lines, cuts):
    stream = b"".join(line + b"\n" for line in lines)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert collect(100, chunks) == ([line for line in lines if line], [])


def test_the_last_line_counts_without_a_line_feed():
    assert collect(100, [b"a\nb"])[0] == [b"a", b"b"]


def test_a_line_at_the_limit_passes_and_the_next_byte_is_too_many():
    assert collect(3, [b"abc\n"]) == ([b"abc"], [])
    assert collect(3, [b"ab", b"c", b"\n"]) == ([b"abc"], [])
    assert collect(3, [b"abcd\nok\n"]) == ([b"ok"], [(b"abcd", b""), (b"abcd", b"abcd")])


def test_an_overlong_line_is_told_twice_and_what_follows_is_intact():
    lines, overlong = collect(10, [b"head 567", b"8901", b"2tail\nnext\n"])
    assert lines == [b"next"]
    assert overlong == [(b"head 5678901", b""), (b"head 5678901", b"head 56789012tail")]


def test_an_overlong_line_that_is_settled_is_not_told_again():
    assert collect(3, [b"abcdef", b"gh\n"], [True])[1] == [(b"abcdef", b"")]


def test_a_line_without_end_is_told_as_such_after_a_while_and_never_kept():
    lines, overlong = collect(100, [b"x" * 64] * 1000 + [b"\nnext\n"])
    assert lines == [b"next"]
    assert [tail for _head, tail in overlong] == [b"", ENDLESS]


def test_only_the_ends_of_an_overlong_line_are_kept():
    (_, _), (head, tail) = collect(100_000, [b"a" * 50_000 + b"b" * 80_000, b"c\n"])[1]
    assert (len(head), len(tail), tail[-1:]) == (4096, 256, b"c")
