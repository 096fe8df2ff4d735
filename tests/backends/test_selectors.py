import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.selectors import Selector, Where

VALUE = {"a": {"b": [{"c": 1}, {"c": "two"}], "odd key.": True, "n": None}, "x-y": "z"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", [1]),
        ("a.b[-1].c", ["two"]),
        ("a.b[*].c", [1, "two"]),
        ('a["odd key."]', [True]),
        ("x-y", ["z"]),
        ("a.n", [None]),
        ("a.b[7]", []),
        ("a.b.c", []),
        ("x-y.z", []),
        ("a[0]", []),
    ],
)
def test_a_path_finds_what_stands_there(path, found):
    assert Selector.parse(path).all(VALUE) == found


def test_texts_are_joined_and_everything_else_is_shown_as_json():
    assert Selector.parse("a.b[*].c").text(VALUE) == "1two"
    assert Selector.parse("a.b[0]").text(VALUE) == '{"c": 1}'
    assert Selector.parse("a.n").text(VALUE) is None
    assert Selector.parse("a.b[1].c").one(VALUE) == "two"


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a b", "a.[0]", "a[x]", "a[0]b", 'a["x]', "a.", "a[", "$.a[?x]"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="path"):
        Selector.parse(path)


@given(
    st.text(max_size=20),
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
)
def test_no_text_and_no_value_is_too_odd(text, value):
    try:
        selector = Selector.parse(text)
    except ValueError:
        return
    assert isinstance(selector.all(value), list)
    assert isinstance(selector.text(value), str | None)


def test_every_condition_must_hold():
    assert Where.parse({}).holds(VALUE)
    assert Where.parse({"a.b[0].c": 1, "x-y": ["y", "z"]}).holds(VALUE)
    assert not Where.parse({"a.b[0].c": 1, "x-y": "y"}).holds(VALUE)
    assert Where.parse({"nothing": None}).holds(VALUE)


def test_true_is_not_one():
    assert not Where.parse({"a.b[0].c": True}).holds(VALUE)
