import re

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.apps import EXTENSION
from mcp_orchestrator.core.translate import tasks
from mcp_orchestrator.core.wire.meta import HOP_KEYS, PROGRESS_TOKEN, SERVER_INFO, SUBSCRIPTION_ID, without_hop_keys

KEYS = st.sampled_from(sorted(HOP_KEYS)) | st.text(max_size=8)


@given(st.dictionaries(KEYS, st.integers()))
def test_only_the_keys_of_one_hop_are_taken_off(meta):
    before = dict(meta)
    kept = without_hop_keys(meta)
    assert kept == {key: value for key, value in meta.items() if key not in HOP_KEYS}
    assert meta == before
    assert without_hop_keys(kept) == kept


def test_the_trace_and_the_keys_of_others_travel_on():
    meta = {"traceparent": "00-1-2-01", "tracestate": "a=b", "baggage": "k=v", "com.example/x": {"y": 1}}
    assert without_hop_keys({**meta, "progressToken": 1, "io.modelcontextprotocol/logLevel": "info"}) == meta


def test_every_key_and_extension_of_ours_is_a_name_after_a_prefix_of_labels():
    label = r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?"
    name = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
    for key in (*HOP_KEYS - {PROGRESS_TOKEN}, SERVER_INFO, SUBSCRIPTION_ID, tasks.EXTENSION, tasks.RELATED, EXTENSION):
        assert re.fullmatch(rf"{label}(\.{label})*/{name}", key), key
    assert re.fullmatch(name, PROGRESS_TOKEN)


def test_what_a_server_says_of_itself_is_no_business_of_the_request():
    assert not HOP_KEYS & {SERVER_INFO, SUBSCRIPTION_ID}
