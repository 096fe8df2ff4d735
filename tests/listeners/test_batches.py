"""Batches sorted, bounded, and only where the version has them."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners.batches import BATCH_LIMIT, Batch, batch_of
from mcp_orchestrator.listeners.envelopes import Malformed

ITEMS = st.sampled_from(
    [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 2, "method": "initialize"},
        {"jsonrpc": "2.0", "method": "n"},
        {"jsonrpc": "2.0", "id": "q", "result": {}},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        [],
        7,
    ]
)


@given(st.lists(ITEMS, min_size=1, max_size=10))
def test_every_message_of_a_batch_is_in_exactly_one_place(items):
    batch = batch_of(items, "2025-03-26")
    assert isinstance(batch, Batch)
    placed = len(batch.requests) + len(batch.notifications) + len(batch.responses) + len(batch.malformed)
    assert placed == len(items)
    assert all(request.method == "ping" for request in batch.requests)


def test_versions_without_batches_empty_and_endless_ones_are_refused():
    item = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for items, version in (([item], "2025-06-18"), ([item], "2025-11-25"), ([], "2025-03-26")):
        assert isinstance(batch_of(items, version), Malformed)
    assert isinstance(batch_of([item] * (BATCH_LIMIT + 1), "2025-03-26"), Malformed)
    assert isinstance(batch_of([item] * BATCH_LIMIT, "2025-03-26"), Batch)
