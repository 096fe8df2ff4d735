"""The source tree."""

from mcp_orchestrator.config.document import is_empty, locate, plain
from mcp_orchestrator.config.yaml_text import parse


def read(text):
    return parse(text, lambda *_: None)


def test_a_path_of_keys_leads_to_the_place_of_the_last_key_there_is():
    root = read("a:\n  b: {c: 1}\n")
    assert locate(root, "a", "b", "c") == (2, 7)
    assert locate(root, "a", "b", "x", "y") == (2, 3)
    assert locate(root, "x") == root.start


def test_what_says_nothing_is_empty():
    root = read("a: {}\nb: []\nc:\nd: 0\ne: [1]\nf: ''")
    assert [key for key in "abcdef" if is_empty(root.get(key))] == ["a", "b", "c"]
    assert is_empty(root.get("none"))


def test_a_tree_becomes_plain_data():
    assert plain(read("a: [1, {b: null}]")) == {"a": [1, {"b": None}]}
