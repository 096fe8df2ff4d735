import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.a2a_reading import (
    MOST_RAW,
    State,
    read_update,
    read_usage,
    shown_file,
    total,
)
from mcp_orchestrator.model.agent import AgentUsage, CostSource

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["task", "id", "status", "state", "message", "parts", "kind", "artifact", "metadata", "text", "usage"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_that_is_json_breaks_the_reader(value):
    update = read_update(value)
    for metadata in update.metadata if update is not None else ():
        read_usage(metadata)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("TASK_STATE_INPUT_REQUIRED", State.INPUT),
        ("input-required", State.INPUT),
        ("input_required", State.INPUT),
        ("cancelled", State.CANCELED),
        ("TASK_STATE_AUTH_REQUIRED", State.AUTH),
        ("TASK_STATE_UNSPECIFIED", State.OTHER),
        ("pondering", State.OTHER),
        (None, State.OTHER),
        (6, State.OTHER),
    ],
)
def test_words_of_either_version_are_states(word, state):
    assert read_update({"id": "t", "status": {"state": word}}).state is state


def test_each_form_of_either_version_is_understood():
    status = {"state": "working", "message": {"parts": [{"text": "x"}], "role": "ROLE_AGENT"}}
    for value in (
        {"statusUpdate": {"taskId": "t", "contextId": "c", "status": status}},
        {"kind": "status-update", "taskId": "t", "contextId": "c", "status": status, "final": False},
        {"taskId": "t", "contextId": "c", "status": status},
    ):
        update = read_update(value)
        assert (update.task, update.context, update.message.text, update.whole) == ("t", "c", "x", False)
    artifact = {"artifactId": "a", "parts": [{"kind": "text", "text": "y"}]}
    for value in (
        {"artifactUpdate": {"taskId": "t", "artifact": artifact, "append": "true", "lastChunk": True}},
        {"kind": "artifact-update", "taskId": "t", "artifact": artifact, "append": True, "lastChunk": True},
    ):
        (made,) = read_update(value).artifacts
        assert (made.append, made.last, made.parts[0].text) == (True, True, "y")
    for value in ({"task": {"id": 7, "status": {}}}, {"kind": "task", "id": "7"}, {"id": "7", "status": {}}):
        assert (read_update(value).task, read_update(value).whole) == ("7", True)
    for value in ({"message": {"parts": [{"text": "z"}]}}, {"kind": "message", "parts": [{"text": "z"}]}):
        assert read_update(value).reply.text == "z"


def test_parts_of_either_version_and_broken_ones():
    parts = [
        {"kind": "file", "file": {"name": "a", "mimeType": "text/plain", "bytes": "dGNr"}},
        {"kind": "file", "file": {"uri": "https://x/y"}},
        {"raw": "A" * (MOST_RAW + 4), "filename": "big"},
        {"data": {"value": [1]}, "metadata": {"data_part_compat": True}},
        {"data": None},
        {"kind": "video"},
        "text",
    ]
    read = read_update({"kind": "message", "parts": parts, "role": "agent"}).reply.parts
    assert read[0].file == {"name": "a", "type": "text/plain", "bytes": 3, "raw": "dGNr"}
    assert read[1].file == {"url": "https://x/y"}
    assert "raw" not in read[2].file
    assert (read[3].data, read[4].data, read[4].has_data) == ([1], None, True)
    assert len(read) == 5
    assert shown_file(read[1].file) == "[file: https://x/y]"


def test_a_user_is_no_agent_in_either_version():
    for role in ("user", "ROLE_USER"):
        assert not read_update({"kind": "message", "parts": [], "role": role}).reply.agent
    assert read_update({"kind": "message", "parts": [], "role": None}).reply.agent


@pytest.mark.parametrize("value", [True, "many", -1, float("inf"), float("nan"), None, [], 1e18])
def test_numbers_that_are_none_are_not_told(value):
    key, usage = read_usage({"usage": {"input_tokens": value, "output_tokens": "4"}})
    assert (key, usage.input_tokens, usage.output_tokens, usage.cost) == ("", None, 4, None)


def test_metadata_without_usage_tells_nothing():
    assert read_usage({"adk_type": "x", "usage": 5}) is None


def test_events_are_summed_and_the_turn_as_a_whole_replaces_their_sum():
    one = read_usage({"adk_usage_metadata": {"prompt_token_count": 3}, "adk_event_id": "1"})
    two = read_usage({"adk_usage_metadata": {"promptTokenCount": 4}, "adk_event_id": "2", "model": "g"})
    both = total(dict([one, two]))
    assert (both.input_tokens, both.output_tokens, both.model) == (7, None, "g")
    whole = AgentUsage(input_tokens=9, cost=1, cost_source=CostSource.REPORTED)
    assert total({**dict([one, two]), "": whole}) == whole
    assert total({}) == AgentUsage()
