"""YAML to a source tree."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.config.document import LINE_BREAK, MalformedError, Scalar, Table, plain
from mcp_orchestrator.config.yaml_text import parse

VISIBLE = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | VISIBLE
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(VISIBLE, inner, max_size=4))


def read(text):
    return parse(text, lambda *_: pytest.fail("no key is given twice"))


@given(st.dictionaries(VISIBLE.filter(lambda key: key != "<<"), TREES, max_size=5), st.booleans())
def test_what_yaml_writes_is_read_back(tree, flow):
    # Keys are always text here, and the dumper quotes texts that YAML 1.1 would take for something else.
    text = yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow, width=200)
    assert plain(read(text)) == tree


@given(st.dictionaries(st.from_regex(r"k[a-z]{1,8}", fullmatch=True), st.integers(0, 999), min_size=1), st.booleans())
def test_every_key_and_value_is_where_its_position_says(tree, flow):
    text = yaml.safe_dump({"outer": tree}, default_flow_style=flow)
    lines = LINE_BREAK.split(text)
    inner = read(text).get("outer")
    for entry in inner.entries.values():
        assert lines[entry.start.line - 1][entry.start.column - 1 :].startswith(entry.key)
        start, end = entry.value.start, entry.value.end
        assert lines[start.line - 1][start.column - 1 : end.column - 1] == entry.value.text


def test_columns_count_characters_not_bytes():
    root = read('"é😀": {b: 1}')
    assert root.get("é😀").entries["b"].start == (1, 8)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("yes", "yes"), ("on", "on"), ("12:30", "12:30"), ("2026-11-24", "2026-11-24"), ("0o17", 15), ("0x1f", 31),
     ("1e3", 1000.0), ("~", None), ("", None), ("True", True), ("1_000", "1_000"), ("9" * 40, "9" * 40),
     ('"1"', "1"), ("!!str 1", "1"), ("! 1", "1"), ("007", 7)],
)  # fmt: skip
def test_scalars_mean_what_the_yaml_1_2_core_schema_says(written, meant):
    value = read(f"a: {written}").get("a")
    assert isinstance(value, Scalar)
    assert value.value == meant
    assert type(value.value) is type(meant)


def test_aliases_and_merges_work():
    tree = plain(read("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}], d: *x}"))
    assert tree["y"] == {"a": 1, "b": 3}
    assert tree["z"] == {"a": 1, "b": 2, "c": 4, "d": {"a": 1, "b": 2}}


def test_an_empty_text_has_no_tree():
    assert read("# nothing\n") is None


def test_every_key_given_twice_is_reported_and_kept_for_masking():
    seen = []
    root = parse("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}", lambda *about: seen.append(about))
    assert sorted(seen) == [("a", (3, 1), (1, 1)), ("d", (4, 11), (4, 5))]
    assert isinstance(root, Table)
    assert [entry.value.value for entry in root.shadowed] == [3]
    assert plain(root)["a"] == 1


@pytest.mark.parametrize(
    ("text", "code", "place", "fix"),
    [
        ("a:\n\t- b", "C003", (2, 1), "indent with spaces"),
        ("a: b: c", "C003", (1, 5), "quotes"),
        ("a: @x", "C003", (1, 4), "quotes"),
        ("a: [1\n\n", "C003", (1, 6), "not closed"),
        ("a: 'x", "C003", (1, 6), "not closed"),
        ("a: *x", "C003", (1, 4), "&x"),
        ("a: !!python/object:os.system x", "C003", (1, 4), "remove"),
        ("a: !env x", "C003", (1, 4), "remove"),
        ("a: 1\n---\nb: 2", "C003", (2, 1), "---"),
        ("a: \x07", "C003", (1, 4), "remove"),
        ("a: {<<: 3}", "C003", (1, 5), ""),
        ("{[1]: 2}", "C006", (1, 2), ""),
        ("a: &a [*a]", "C005", (1, 8), ""),
        ("[" * 900, "C005", (1, 41), ""),
        ("- " * 5000, "C005", (1, 81), ""),
    ],
)
def test_a_mistake_is_told_with_place_and_fix(text, code, place, fix):
    with pytest.raises(MalformedError) as caught:
        read(text)
    assert caught.value.code == code
    assert caught.value.place == place
    assert fix in caught.value.fix


def test_brackets_without_end_are_nested_too_deeply_whatever_the_parser_does():
    with pytest.raises(MalformedError) as caught:
        read("[" * 50_000)
    assert caught.value.code == "C005"


def test_an_alias_bomb_is_refused_without_being_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(MalformedError) as caught:
        read("\n".join(lines))
    assert caught.value.code == "C005"


def test_a_chain_of_aliases_cannot_nest_deeper_than_a_file_may():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]
    with pytest.raises(MalformedError) as caught:
        read("\n".join(lines))
    assert "levels deep" in caught.value.message


@given(st.text(max_size=60))
def test_no_text_makes_anything_but_a_tree_or_a_fault(text):
    try:
        parse(text, lambda *_: None)
    except MalformedError as fault:
        place = fault.place
    else:
        place = (1, 1)
    assert min(place) >= 1


def test_toml_is_recognised():
    with pytest.raises(MalformedError) as caught:
        read('[mcp_servers.foo]\ncommand = "npx"\n')
    assert (caught.value.message, "mcpServers" in caught.value.fix) == ("this is TOML, not YAML", True)
