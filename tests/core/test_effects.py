"""What nobody should see is taken out, wherever it stands, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.effects import PATTERNS, Redactor, named, trouble
from mcp_orchestrator.model.rules import Redaction

FOUND = {
    "email": "ada@lovelace.example",
    "iban": "DE89 3704 0044 0532 0130 00",
    "credit-card": "4111 1111 1111 1111",
    "ipv4": "10.0.0.1",
    "phone": "+49 30 123456",
    "us-ssn": "078-05-1120",
    "secret:private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
    "secret:jwt": "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln",
    "secret:bearer": "Bearer abcdefghijklmnop1234",
    "secret:url-password": "https://ada:hunter2@db.example",
    "secret:aws": "AKIA" + "A" * 16,
    "secret:github": "ghp_" + "a" * 36,
    "secret:gitlab": "glpat-" + "a" * 20,
    "secret:slack": "xoxb-" + "1" * 12,
    "secret:openai": "sk-" + "proj-" + "a" * 24,
    "secret:google": "AIza" + "a" * 35,
    "secret:stripe": "sk_" + "live_" + "a" * 24,
    "secret:npm": "npm_" + "a" * 36,
    "secret:gateway": "mco_" + "a" * 49,
}


def redactor(*patterns, **more):
    return Redactor([Redaction(patterns, **more)])


def test_every_named_pattern_has_an_example_here():
    assert FOUND.keys() == PATTERNS.keys()


@pytest.mark.parametrize("name", list(PATTERNS))
def test_a_named_pattern_finds_what_it_is_named_after(name):
    assert redactor(name).text(f"before {FOUND[name]} after").startswith(f"before [{name}]")


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "build 20261124 of 3.14.15", "a@b", "DE89", "1.2.3", "sk-short", ""]
)
def test_what_only_looks_alike_stays(text):
    assert redactor("*").text(text) == text


def test_a_star_stands_for_several_patterns():
    assert set(named("secret:*")) == {name for name in PATTERNS if name.startswith("secret:")}
    assert named("nothing") == []


def test_fields_are_removed_by_path_and_their_values_everywhere_else():
    cleared = redactor(fields=("user.password", "items.*.ssn", "**.token")).arguments(
        {
            "user": {"password": "hunter22", "name": "ada"},
            "note": "my password is hunter22",
            "items": [{"x": {"ssn": 12345}}, {"x": {"ssn": 67890}}],
            "deep": {"er": {"token": ["abcd", 1]}},
        }
    )
    assert cleared == {
        "user": {"password": "[removed]", "name": "ada"},
        "note": "my password is [removed]",
        "items": [{"x": {"ssn": "[removed]"}}, {"x": {"ssn": "[removed]"}}],
        "deep": {"er": {"token": "[removed]"}},
    }


def test_the_text_copy_of_a_structured_result_is_cleared_with_it():
    result = {
        "content": [
            {"type": "text", "text": '{"user": {"password": "pässwörd"}}'},
            {"type": "text", "text": "it is pässwörd"},
        ],
        "structuredContent": {"user": {"password": "pässwörd"}},
    }
    assert "pässwörd" not in str(redactor(fields=("user.password",)).result(result))


def test_base64_is_not_looked_into_but_a_field_of_that_name_is():
    image = {"type": "image", "data": "YUBiLmRl", "mimeType": "image/png"}
    assert redactor(expressions=("YUBi",)).result({"content": [image]}) == {"content": [image]}
    assert redactor("email").result({"structuredContent": {"data": "a@b.de"}}) == {
        "structuredContent": {"data": "[email]"}
    }


def test_keys_and_numbers_are_looked_at_as_well():
    cleared = redactor("email", "credit-card").arguments({"of": {"a@b.de": 1}, "card": 4111111111111111})
    assert cleared == {"of": {"[email]": 1}, "card": "[credit-card]"}


@pytest.mark.parametrize(
    ("text", "why"), [("(a", "no regular expression"), ("a*", "fits the empty text"), ("(?=a)", "no regular")]
)
def test_unusable_expressions_are_named(text, why):
    assert why in trouble(Redaction(expressions=(text,)))


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), json, max_size=4))
def test_redacting_twice_changes_nothing_more(arguments):
    once = redactor("email", "secret:*", fields=("*.a", "b")).arguments(arguments)
    assert redactor("email", "secret:*").arguments(once) == once


@given(st.dictionaries(st.text(max_size=5), json, max_size=4))
def test_without_anything_to_find_everything_stays(arguments):
    assert Redactor([]).arguments(arguments) == arguments
