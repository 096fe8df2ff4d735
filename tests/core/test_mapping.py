"""Arguments and results put into a provider's words: values pass whole, what is left out stays out, nothing raises."""

import pytest
from catalogs import call
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.conditions import Conditions, Fault, Wrong
from mcp_orchestrator.core.mapping import (
    CALLER,
    Arguments,
    Circle,
    Results,
    Shaper,
    caller,
    expression,
    seen,
)
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Era, Principal
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.model.routing import ArgumentSource, Provider, ResultShape

CONDITIONS = Conditions()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def circle(**arguments):
    return Circle(CONDITIONS, CALLER, caller(call("t"), arguments))


def mapped(provider, **arguments):
    return Arguments(provider, CONDITIONS)(circle(**arguments))


def sources(**given):
    return {name: one if isinstance(one, ArgumentSource) else ArgumentSource(one) for name, one in given.items()}


@given(JSON)
def test_a_plain_selection_passes_a_value_whole(value):
    provider = Provider("s.t", arguments=sources(q="args.a", b='args["a"]'))
    assert mapped(provider, a=value) == {"q": value, "b": value}


@given(JSON.filter(lambda value: b"\\u0000" not in encode(value)))  # the engine cuts texts off there: it refuses them
def test_a_value_that_goes_through_the_engine_comes_out_equal(value):
    made = expression("[args.a][0]", CALLER, CONDITIONS)
    assert made.of(circle(a=value)) == value


def test_numbers_that_the_engine_does_not_have_pass_a_plain_selection():
    assert mapped(Provider("s.t", arguments=sources(n="args.n")), n=2**70) == {"n": 2**70}
    assert mapped(Provider("s.t", arguments=sources(n="args.n + 1")), n=2**70).startswith("argument n: ")


def test_an_argument_that_the_caller_left_out_is_left_out():
    provider = Provider("s.t", arguments=sources(q="args.q", n="args.limit", m="args.limit + 1", d="args.a.b[2]"))
    assert mapped(provider, q="x") == {"q": "x"}
    assert mapped(provider, q="x", a={"b": [1, 2]}) == {"q": "x"}
    assert mapped(provider, q="x", limit=1, a={"b": [1, 2, 3]}) == {"q": "x", "n": 1, "m": 2, "d": 3}


def test_constants_and_defaults():
    provider = Provider(
        "s.t", arguments=sources(c=ArgumentSource(const=(None,)), n=ArgumentSource("args.n", default=(5,)))
    )
    assert mapped(provider) == {"c": None, "n": 5}
    assert mapped(provider, n=None) == {"c": None, "n": 5}
    assert mapped(provider, n=0) == {"c": None, "n": 0}


def test_without_a_mapping_arguments_pass_but_for_what_is_renamed_or_dropped():
    assert mapped(Provider("s.t"), a=1, b=2) == {"a": 1, "b": 2}
    assert mapped(Provider("s.t", rename={"a": "z"}, drop=("b",)), a=1, b=2, c=3) == {"z": 1, "c": 3}
    added = Provider("s.t", rename={"a": "z"}, arguments=sources(lang=ArgumentSource(const=("en",))))
    assert mapped(added, a=1, b=2) == {"z": 1, "b": 2, "lang": "en"}
    assert mapped(Provider("s.t", arguments={}), a=1) == {}


def test_an_expression_that_fails_says_so_without_the_value():
    said = mapped(Provider("s.t", arguments=sources(n="args.a + 1")), a="a secret")
    assert said.startswith("argument n: ")
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "kind"),
    [("timestamp('2020-01-01T00:00:00Z')", "datetime"), ("{1: 2}", "no text"), ("1.0 / 0.0", "number")],
)
def test_what_is_no_json_is_told(text, kind):
    found = expression(text, CALLER, CONDITIONS).of(circle())
    assert isinstance(found, Fault)
    assert kind in found.text


def test_an_expression_with_an_unknown_name_is_refused_with_its_column():
    found = expression("size(agrs.q)", CALLER, CONDITIONS)
    assert isinstance(found, Wrong)
    assert found.column > 1


def test_the_caller_is_seen():
    made = call("t")
    made.principal = Principal("token:ci", "token", groups=("a",), team="b")
    made.context = "c1"
    values = caller(made, {})
    assert (values["principal.id"], values["principal.groups"], values["principal.team"]) == ("token:ci", ["a"], "b")
    assert (values["context.id"], values["profile"], values["client.era"]) == ("c1", "", "modern")
    assert set(values) == set(CALLER)


RESULT = {"content": [{"type": "text", "text": '{"n": 1}'}, {"type": "image"}, {"type": "text", "text": "x"}]}


def test_a_result_is_seen_as_text_structure_and_json():
    assert seen(RESULT) == {"result.text": '{"n": 1}\nx', "result.structured": None, "result.json": None}
    assert seen({"content": [{"type": "text", "text": " [1]"}]})["result.json"] == [1]
    assert seen({"content": "no list", "structuredContent": 3})["result.structured"] == 3


def results(fields, **shape):
    return Results(ResultShape(**shape), CONDITIONS)(fields, caller(call("t"), {"q": "it"}))


def test_fields_and_text_of_a_result():
    fields = {"structuredContent": {"hits": [{"t": "a"}, {"t": "b"}]}, "content": [], "_meta": {"k": 1}}
    made = results(fields, structured={"titles": "result.structured.hits.map(h, h.t)", "gone": "result.structured.no"})
    assert made == {
        "_meta": {"k": 1},
        "structuredContent": {"titles": ["a", "b"]},
        "content": [{"type": "text", "text": '{"titles":["a","b"]}'}],
    }
    text = results(fields, text="{{size(result.structured.hits)}} for {{args.q}}{{result.structured.no}}, {{args}}")
    assert text["content"][0]["text"] == '2 for it, {"q":"it"}'
    assert "structuredContent" not in text
    assert results(fields, structured="result.structured.hits[0]")["structuredContent"] == {"t": "a"}


def test_a_result_that_cannot_be_mapped_says_which_part():
    assert results({}, structured="result.structured.a").startswith("structured: ")
    assert results({"structuredContent": {"a": "x"}}, structured={"a": "result.structured.a + 1"}).startswith(
        "structured.a: "
    )
    assert results({"structuredContent": {"a": "x"}}, text="{{result.structured.a + 1}}").startswith("text: ")


def shaped(result, mapped=None, faults=None):
    return Shaper(mapped, faults, caller(call("t"), {}))(Completed(encode(result), Era.LEGACY))


def test_errors_of_the_tool_and_questions_pass_untouched():
    for result in ({"isError": True, "content": []}, {"resultType": "input_required"}):
        outcome = shaped(result, Results(ResultShape("result.structured.x"), CONDITIONS))
        assert decode(outcome.result) == result


def test_structured_content_that_is_promised_may_stand_in_the_text():
    def faults(value):
        return [] if value == {"n": 1} else ["wrong"]

    made = shaped({"content": [{"type": "text", "text": '{"n": 1}'}]}, None, faults)
    assert decode(made.result)["structuredContent"] == {"n": 1}
    assert shaped({"content": [{"type": "text", "text": "plain"}]}, None, faults) == "it has no structured content"
    assert "does not fit the output schema: wrong" in shaped({"structuredContent": {}}, None, faults)


def test_a_result_that_is_not_changed_is_the_same_bytes():
    outcome = Completed(b'{ "content": [ ] }', Era.LEGACY)
    assert Shaper(None, None, {})(outcome) is outcome
    assert Shaper(None, None, {})(Completed(b"[1]", Era.LEGACY)) == "it is no JSON object"
    assert Shaper(None, None, {})(Completed(b"{", Era.LEGACY)) == "it is no JSON object"
