"""What is kept of arguments: no secrets, no more than there is room for."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.capture import LOOKED_AT, MOST, Capture
from mcp_orchestrator.core.redaction import words_redactor
from mcp_orchestrator.model.snapshot import Secret


@pytest.fixture(scope="module")
def capture():
    return Capture()


def test_plain_arguments_are_kept_as_they_came(capture):
    assert capture({"zone": "Europe/Berlin", "days": [1, 2], "deep": {"yes": True}}, str) == {
        "zone": "Europe/Berlin",
        "days": [1, 2],
        "deep": {"yes": True},
    }


@pytest.mark.parametrize(
    "name", ["password", "dbPassword", "PASSWORD", "client_secret", "token", "apiKey", "api_key", "API-KEY", "Cookie"]
)
def test_what_is_named_like_a_secret_is_left_out_at_any_depth(capture, name):
    kept = json.dumps(capture({"a": [{name: "hunter22"}], name: "hunter22", "note": "it is hunter22"}, str))
    assert "hunter22" not in kept


def test_what_looks_like_a_secret_is_left_out_wherever_it_stands(capture):
    token = "ghp_" + "a" * 36
    kept = json.dumps(capture({"command": f"curl -H 'x: {token}'", token: 1, "mail": "me@example.org"}, str))
    assert token not in kept
    assert "me@example.org" not in kept


def test_a_secret_of_the_server_is_left_out(capture):
    kept = capture({"q": "say s3cr3t-word", "s3cr3t-word": 1}, words_redactor([Secret("s3cr3t-word")]))
    assert "s3cr3t-word" not in json.dumps(kept)


def test_a_secret_is_not_cut_into_something_that_is_not_recognised(capture):
    token = "ghp_" + "b" * 36
    kept = capture({"a": "x" * (MOST - 64 - 20) + " " + token}, str)
    assert "ghp_" not in json.dumps(kept)


def test_too_much_is_cut_and_far_too_much_is_only_measured(capture):
    kept = capture({"text": "y" * 10_000}, str)
    assert kept["oversize"] > 10_000
    assert len(msgspec.json.encode(kept)) <= MOST
    assert capture({"text": "y" * LOOKED_AT}, str) == {"oversize": LOOKED_AT + len('{"text":""}')}


def test_what_is_no_object_or_no_json_is_said_to_be_so(capture):
    assert capture(None, str) == {}
    assert capture({"a": object()}, str) == {"unencodable": "TypeError"}


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.integers() | st.text(), st.lists)))
def test_whatever_comes_is_bounded_json(arguments):
    assert len(msgspec.json.encode(Capture()(arguments, str))) <= 2 * MOST
