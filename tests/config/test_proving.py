"""What can be proved of logical tools and overrides at load is proved there, with line and column."""

import pytest

from mcp_orchestrator.config.load import load

OFFERED = {
    "s": [
        {
            "name": "find",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "q": {"type": "string", "minLength": 1},
                    "max": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "lang": {"$ref": "#/$defs/lang"},
                },
                "required": ["q"],
                "$defs": {"lang": {"enum": ["en", "de"]}},
            },
            "outputSchema": {
                "type": "object",
                "properties": {
                    "hits": {"type": "array", "items": {"type": "object", "properties": {"t": {"type": "string"}}}}
                },
            },
        },
        {"name": "any", "inputSchema": {"type": "object"}},
    ]
}
HEAD = """\
mcpServers: {s: {command: x}}
tools:
  search:
    inputSchema: {type: object, properties: {query: {type: string}, limit: {type: integer}, flag: {type: boolean}}, required: [query]}
    outputSchema: {type: object, properties: {titles: {type: array}, n: {type: integer}}, required: [titles]}
    providers:
"""
FULL = "{tool: s.find, arguments: {q: args.query}, result: {structured: {titles: result.structured.hits}}}"


@pytest.fixture
def proved(tmp_path):
    """Code, severity, and `line:column` of every problem; and the messages with their fixes."""

    def run(text, *, offered=OFFERED, strict=True):
        path = tmp_path / "orchestrator.yaml"
        path.write_text(text)
        loaded = load(path, environ={}, secrets={}, remember=lambda _snapshot: offered.get, strict=strict)
        return loaded.problems

    return run


@pytest.fixture
def provider(proved):
    """The problems of one provider, each as (code, column text, message, fix)."""

    def run(block, **more):
        line = f"      - {block}"
        found = proved(HEAD + line + "\n", **more)
        assert all(one.line == 7 for one in found if one.code != "C086"), found
        return [(str(one.code), line[one.column - 1 :], one.message, one.fix) for one in found]

    return run


def test_a_mapping_that_is_right_has_no_problem(provider):
    assert provider(FULL) == []


@pytest.mark.parametrize(
    ("block", "code", "at", "said"),
    [
        ("{tool: s.fnd}", "C081", "tool:", "offers no tool"),
        ("{tool: s.find, arguments: {q: args.query, mx: args.limit}}", "C082", "mx:", 's.find has no argument "mx"'),
        ("{tool: s.find, arguments: {q: args.qery}}", "C080", "qery", "no argument qery"),
        ("{tool: s.find, arguments: {q: args.limit}}", "C083", "args.limit", "an integer, but"),
        ("{tool: s.find, arguments: {q: 'args.query + 1'}}", "C080", "+ 1", "does not go with (string, int)"),
        ("{tool: s.find, arguments: {q: 'size(args.query)'}}", "C083", "'size", "an integer, but"),
        ("{tool: s.find, arguments: {q: {const: 3}}}", "C083", "q:", "3 is not of type"),
        ("{tool: s.find, arguments: {q: {const: ''}}}", "C083", "q:", "is shorter than 1 character"),
        ("{tool: s.find, arguments: {q: args.query, lang: {const: fr}}}", "C083", "lang:", "is not"),
        ("{tool: s.find, arguments: {q: args.query, max: {from: args.limit, default: many}}}", "C083", "max:", "not valid"),
        ("{tool: s.find, arguments: {max: args.limit}}", "C084", "tool:", 'requires the argument "q"'),
        ("{tool: s.find, when: args.limit}", "C080", "args.limit", "true or false"),
        ("{tool: s.find, when: args.nope == 1}", "C080", "nope", "no argument nope"),
        ("{tool: s.find, rename: {quer: q}}", "C082", "quer:", "search has no argument"),
        ("{tool: s.find, rename: {query: q}, drop: [limit, flg]}", "C082", "drop:", "search has no argument"),
        ("{tool: s.find, rename: {query: q}}", "C082", "tool:", "as which"),
        ("{tool: s.find, rename: {query: q, flag: max}, drop: [limit]}", "C083", "flag:", "a boolean, but"),
        ("{tool: t.find}", "C051", "tool:", "there is no server"),
        ("{tool: s.find, arguments: {q: 'timestamp(args.query)'}}", "C080", "'timestamp", "JSON does not have"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_arguments_is_told_with_its_place(provider, block, code, at, said):
    matching = [one for one in provider(block) if one[0] == code and one[1].lstrip("'").startswith(at.lstrip("'"))]
    assert any(said in message for _, _, message, _ in matching), provider(block)
    assert all(fix for *_, fix in matching)


@pytest.mark.parametrize(
    ("result", "code", "at", "said"),
    [
        ("{structured: {titles: result.structured.hit}}", "C082", "result.structured.hit", 'no "hit"'),
        ("{structured: {titles: 'result.structured.hits[0].u'}}", "C082", "result.structured.hits", 'no "u"'),
        ("{structured: {titles: result.text}}", "C083", "result.text", "a string, but an array"),
        ("{structured: {titles: result.structured.hits, n: result.structured.hits}}", "C083", "result.structured.hits}", "array"),
        ("{structured: {titles: result.structured.hits, m: '1'}}", "C082", "1", 'no "m"'),
        ("{structured: {n: '1'}}", "C084", "structured:", 'requires "titles"'),
        ("{structured: {titles: result.strctured}}", "C080", "result.strctured", "no result.strctured"),
        ("{text: 'x'}", "C084", "result:", "text alone"),
        ("{structured: {titles: result.structured.hits}, text: '{{args.'}", "C080", "text:", "brace"),
        ("{structured: {titles: result.structured.hits}, text: '{{nope}}'}", "C080", "{{nope", "no nope"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_results_is_told_with_its_place(provider, result, code, at, said):
    found = provider(f"{{tool: s.find, arguments: {{q: args.query}}, result: {result}}}")
    matching = [one for one in found if one[0] == code and one[1].lstrip("'").startswith(at)]
    assert any(said in message for _, _, message, _ in matching), found


def test_a_required_argument_that_may_be_left_out_is_a_warning(proved):
    text = HEAD + "      - {tool: s.any, when: has(args.limit), result: {structured: {titles: '[args.limit]'}}}\n"
    assert proved(text) == ()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    offered = {"s": [{"name": "any", "inputSchema": schema}]}
    (problem,) = proved(text.replace("when: has(args.limit)", "arguments: {n: args.limit}"), offered=offered)
    assert (str(problem.code), str(problem.severity)) == ("C084", "warning")
    given = "arguments: {n: {from: args.limit, default: 1}}"
    assert proved(text.replace("when: has(args.limit)", given), offered=offered) == ()


def test_what_is_not_remembered_is_a_note_and_not_an_error(proved):
    (problem,) = proved(HEAD + f"      - {FULL}\n", offered={})
    assert (str(problem.code), str(problem.severity)) == ("C086", "note")


def test_a_server_as_it_was_last_seen_keeps_no_gateway_from_starting(proved):
    found = proved(HEAD + "      - {tool: s.fnd}\n", strict=False)
    assert {str(one.severity) for one in found} == {"warning"}
    wrong = proved(HEAD + "      - {tool: s.find, arguments: {q: args.qery}}\n", strict=False)
    assert "error" in {str(one.severity) for one in wrong}


@pytest.mark.parametrize(
    ("block", "code", "said"),
    [
        ("s.fnd: {price: 1}", "C081", "offers no tool"),
        ("s.find: {name: any}", "C087", "another tool"),
        ("s.find: {arguments: {qq: {hide: true}}}", "C082", "no argument"),
        ("s.find: {arguments: {q: {hide: true}}}", "C084", "hidden without a value"),
        ("s.find: {arguments: {q: {const: 1}}}", "C083", "does not fit"),
        ("s.find: {arguments: {lang: {default: fr}}}", "C083", "does not fit"),
        ("s.find: {arguments: {q: {rename: max}}}", "C087", "another one's name"),
        ("s.find: {arguments: {q: {rename: x}, max: {rename: x}}}", "C087", "both become"),
        ("s.find: {arguments: {q: {rename: x, const: a}}}", "C073", "does nothing"),
        ("s.find: {arguments: {q: {default: x, const: a}}}", "C073", "does nothing"),
        ("t.find: {price: 1}", "C051", "there is no server"),
        ("s.any: {arguments: {anything: {const: 1}}}", "", ""),
        ("s.find: {arguments: {q: {rename: max}, max: {rename: q}}}", "", ""),
    ],
)
def test_overrides_are_proved_as_well(proved, block, code, said):
    found = proved(f"mcpServers: {{s: {{command: x}}}}\noverrides:\n  {block}\n")
    assert [str(one.code) for one in found] == ([code] if code else [])
    assert all(said in one.message and one.line == 3 and one.fix for one in found)


def test_a_provider_is_proved_against_the_tool_as_overrides_leave_it(proved):
    text = (
        HEAD
        + f"      - {FULL.replace('q:', 'query:')}\noverrides: {{s.find: {{arguments: {{q: {{rename: query}}}}}}}}\n"
    )
    assert proved(text) == ()
