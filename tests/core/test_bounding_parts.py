"""The items of a result within a budget."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.bounding_parts import Budget, Cuts, bounded_items, cut_text, first_lines, shares
from mcp_orchestrator.core.selecting import elements_of
from mcp_orchestrator.core.wire.jsonrpc import encode

URI = "result://abc"


@given(st.lists(st.integers(0, 1000), max_size=12), st.integers(0, 5000))
def test_shares_are_no_more_than_needed_and_together_no_more_than_there_is(sizes, total):
    given_ = shares(sizes, total)
    assert all(got <= size for got, size in zip(given_, sizes, strict=True))
    assert sum(given_) <= total
    if sum(sizes) <= total:
        assert given_ == sizes
    for one, size in zip(given_, sizes, strict=True):
        assert one == size or one >= max(given_) - len(sizes), "who gets less than it needs gets as much as the largest"


@given(st.text(max_size=60), st.integers(0, 120))
def test_a_text_is_cut_as_late_as_the_room_allows(text, room):
    kept = cut_text(text, room)
    assert text.startswith(kept)
    assert len(encode(kept)) - 2 <= room
    if kept != text:
        assert len(encode(text[: len(kept) + 1])) - 2 > room


@given(st.text(alphabet="a\n", max_size=30), st.integers(0, 12))
def test_the_first_lines_of_a_text(text, count):
    assert first_lines(text, count) == "".join(text.splitlines(keepends=True)[:count])


def items_of(*items):
    return elements_of(encode(items))


def test_items_that_get_no_room_are_named_together():
    cuts = Cuts(URI)
    items = items_of(*({"type": "text", "text": "x" * 400} for _ in range(100)))
    shown = bounded_items("content", items, Budget(4000, 1 << 60, 1 << 60), cuts, links=True)
    assert 8 <= len(shown) <= 12
    assert cuts.left[-1] == (f"content/{len(shown)}..", f"{100 - len(shown)} of 100 items of content")


def test_an_item_whose_text_is_the_smallest_part_of_it_is_left_out_as_a_whole():
    cuts = Cuts(URI)
    items = items_of({"type": "text", "text": "short", "_meta": {"x": "y" * 5000}})
    (shown,) = bounded_items("content", items, Budget(2000, 9, 9), cuts, links=True)
    assert "result://abc/content/0" in shown["text"]
    assert cuts.left[0][0] == "content/0"


def test_the_note_names_the_first_few_and_counts_the_rest():
    cuts = Cuts(URI)
    assert not cuts
    for place in range(9):
        cuts.add(f"content/{place}", f"thing {place}")
    note = cuts.note(URI, 12345)
    assert "thing 5 (result://abc/content/5)" in note
    assert "thing 6" not in note
    assert "3 more" in note
    assert "12345 bytes" in note
    assert len(cuts.told()) == 6
