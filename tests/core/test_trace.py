"""Trace context: which headers carry a trace and which are to be ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.trace import trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "given_value",
    [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-more"],
)
def test_a_valid_traceparent_gives_its_trace_id(given_value):
    assert trace_id(given_value) == TRACE


@pytest.mark.parametrize(
    "given_value",
    [
        None,
        7,
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01.",
        f"cc-{TRACE}-{PARENT}-01more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_anything_else_gives_none(given_value):
    assert trace_id(given_value) is None


@given(st.text())
def test_no_text_whatsoever_raises(text):
    found = trace_id(text)
    assert found is None or (len(found) == 32 and int(found, 16))
