import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.cli.arguments import read
from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.core.wire.jsonrpc import encode

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "options": {"type": "object"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"type": ["string", "integer"]},
        "level": {"enum": [1, 2, 3]},
        "shared": {"$ref": "#/$defs/size"},
        "anything": {},
    },
    "$defs": {"size": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("text=5", {"text": "5"}),
        ("text=a=b", {"text": "a=b"}),
        ("text=", {"text": ""}),
        ("count=5", {"count": 5}),
        ("count=-12345678901234567890", {"count": -12345678901234567890}),
        ("ratio=5", {"ratio": 5}),
        ("ratio=0.5", {"ratio": 0.5}),
        ("flag=true", {"flag": True}),
        ("flag=False", {"flag": False}),
        ("names=a", {"names": ["a"]}),
        ('names=["a","b"]', {"names": ["a", "b"]}),
        ("numbers=1", {"numbers": [1]}),
        ('options={"a": 1}', {"options": {"a": 1}}),
        ("maybe=3", {"maybe": 3}),
        ("maybe=null", {"maybe": None}),
        ("either=3", {"either": "3"}),
        ("level=2", {"level": 2}),
        ("shared=7", {"shared": 7}),
        ("anything=7", {"anything": "7"}),
        ("unknown=7", {"unknown": "7"}),
        ("unknown:=7", {"unknown": 7}),
        ('text:="@literal"', {"text": "@literal"}),
        ("text:=[1,null]", {"text": [1, None]}),
    ],
)
def test_words_are_read_by_the_schema(word, expected):
    assert read([word], None, SCHEMA) == expected


def test_a_repeated_key_becomes_an_array():
    assert read(["names=a", "names=b", "numbers=1", "numbers=2"], None, SCHEMA) == {
        "names": ["a", "b"],
        "numbers": [1, 2],
    }


def test_words_stand_on_top_of_the_json_object():
    assert read(["count=2"], '{"count": 1, "text": "x"}', SCHEMA) == {"count": 2, "text": "x"}


def test_values_and_objects_come_from_files_and_standard_input(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("line\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('{"text": "é"}', encoding="utf-8")
    assert read([f"text=@{tmp_path}/a.txt"], None, SCHEMA) == {"text": "line\n"}
    assert read([f"options:=@{tmp_path}/a.json"], f"@{tmp_path}/a.json", SCHEMA) == {
        "text": "é",
        "options": {"text": "é"},
    }
    monkeypatch.setattr("sys.stdin", io.StringIO('{"count": 1}'))
    assert read([], "-", SCHEMA) == {"count": 1}


@pytest.mark.parametrize(
    ("words", "json_text", "message"),
    [
        (["count=five"], None, "count must be integer, not 'five'"),
        (["ratio=nan"], None, "ratio must be number, not 'nan'"),
        (["flag=yes"], None, "flag must be boolean, not 'yes'"),
        (["maybe=x"], None, "maybe must be integer or null, not 'x'"),
        (["numbers=x"], None, "numbers must be integer, not 'x'"),
        (["word"], None, "not an argument: 'word'"),
        (["=x"], None, "not an argument: '=x'"),
        (["text=@/no/such/file"], None, "cannot read /no/such/file"),
        (["x:={"], None, "x is not valid JSON"),
        ([], "[1]", "--json must be an object"),
        ([], "{", "--json is not valid JSON"),
    ],
)
def test_what_cannot_be_read_ends_with_exit_code_2(words, json_text, message):
    with pytest.raises(Ended) as caught:
        read(words, json_text, SCHEMA)
    assert caught.value.code is Exit.USAGE
    assert message in caught.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_values_arrive_exactly(value):
    assert read([f"key:={encode(value).decode()}"], None, SCHEMA) == {"key": value}


@given(st.text().filter(lambda text: text != "-" and not text.startswith("@")))
def test_text_arrives_exactly(text):
    assert read([f"text={text}"], None, SCHEMA) == {"text": text}


def test_a_schema_that_refers_to_itself_is_no_trap():
    assert read(["a=1"], None, {"properties": {"a": {"$ref": "#/properties/a"}}}) == {"a": "1"}
