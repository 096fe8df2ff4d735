"""`tools` of a file become logical tools; what makes no sense is refused with its place."""

import pytest

from mcp_orchestrator.model.routing import ArgumentSource, Provider, ResultShape, Strategy

HEAD = "mcpServers: {s: {command: x}, t: {command: y}}\n"


@pytest.fixture
def tool(loaded):
    """The only logical tool `find`, written as a flow mapping."""

    def run(block):
        made = loaded(f"{HEAD}tools:\n  find: {block}\n").snapshot
        return made.tools["find"]

    return run


@pytest.fixture
def problems(loaded):
    def run(block, name="find"):
        found = loaded(f"{HEAD}tools:\n  {name}: {block}\n").problems
        return [(str(one.code), one.message) for one in found if one.severity != "note"]

    return run


def test_a_tool_has_the_defaults_of_the_model(tool):
    made = tool("{inputSchema: {properties: {q: {type: string}}}, providers: [{tool: s.a}]}")
    assert made.input_schema == {"type": "object", "properties": {"q": {"type": "string"}}}
    assert (made.strategy, made.by, made.timeout, made.eject_after, made.eject_for) == (
        Strategy.FAILOVER, "caller", 300.0, 5, 30.0,
    )  # fmt: skip
    assert made.providers == (Provider("s.a"),)
    assert made.where.endswith("orchestrator.yaml:3")


def test_everything_can_be_said(tool):
    made = tool(
        "{title: T, description: D, inputSchema: {type: object}, outputSchema: {type: object}, labels: [a, a],"
        " annotations: {readOnlyHint: true}, strategy: weighted, by: args.repo, timeout: 9s, onToolError: next,"
        " eject: {failures: 2, for: 1m}, providers: [{tool: s.a, when: 'true', weight: 5, price: 0.5, readOnly: true,"
        " maxConcurrent: 3, timeout: 2s, rename: {x: y}, drop: [z], result: {structured: result.json, text: '{{result.text}}'},"
        " arguments: {q: args.q, c: {const: [1]}, d: {from: args.d, default: 2}, e: {default: {a: 1}}, f-g: {default: 0}}},"
        " {tool: t.b, idempotent: true, result: {structured: {a: '1'}}}]}"
    )
    assert (made.title, made.description, made.labels) == ("T", "D", ("a",))
    assert (made.by, made.timeout, made.eject_after, made.eject_for, made.next_on_error) == (
        "args.repo",
        9.0,
        2,
        60.0,
        True,
    )
    first, second = made.providers
    assert first.arguments == {
        "q": ArgumentSource("args.q"),
        "c": ArgumentSource(const=([1],)),
        "d": ArgumentSource("args.d", default=(2,)),
        "e": ArgumentSource("args.e", default=({"a": 1},)),
        "f-g": ArgumentSource('args["f-g"]', default=(0,)),
    }
    assert (first.weight, first.price, first.repeatable, first.max_concurrent, first.timeout) == (
        5,
        500_000,
        True,
        3,
        2.0,
    )
    assert (first.rename, first.drop, first.passes) == ({"x": "y"}, ("z",), True)
    assert first.result == ResultShape("result.json", "{{result.text}}")
    assert (second.repeatable, second.result, second.passes) == (True, ResultShape({"a": "1"}), True)


@pytest.mark.parametrize(
    ("block", "code", "said"),
    [
        ("{providers: [{tool: s.a}]}", "C060", "has no inputSchema"),
        ("{inputSchema: {type: object}}", "C060", "has no providers"),
        ("{inputSchema: {type: object}, providers: []}", "C060", "has no provider"),
        ("{inputSchema: {type: object}, providers: [{when: 'true'}]}", "C060", "has no tool"),
        ("{inputSchema: {type: array}, providers: [{tool: s.a}]}", "C085", "must be of type object"),
        ("{inputSchema: [1], providers: [{tool: s.a}]}", "C085", "must be a mapping"),
        ("{inputSchema: {type: object, properties: {a: {type: no}}}, providers: [{tool: s.a}]}", "C085", "cannot be used"),
        ("{inputSchema: {type: object}, providers: [{tool: a}]}", "C015", "SERVER.TOOL"),
        ("{inputSchema: {type: object}, providers: [{tool: u.a}]}", "C051", "there is no server"),
        ("{inputSchema: {type: object}, by: context, providers: [{tool: s.a}]}", "C073", "by of tool find"),
        ("{inputSchema: {type: object}, strategy: fast, providers: [{tool: s.a}]}", "C012", "fast"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, arguments: [q]}]}", "C011", "names with expressions"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, arguments: {q: 3}}]}", "C011", "arguments.q"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, arguments: {q: {of: a}}}]}", "C011", "arguments.q"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, arguments: {q: {const: 1, default: 2}}}]}", "C011", "const alone"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, result: {structured: [a]}}]}", "C011", "result.structured"),
        ("{inputSchema: {type: object}, providers: [{tool: s.a, result: {structured: {a: [1]}}}]}", "C011", "structured.a"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(problems, block, code, said):
    found = problems(block)
    assert any(one == code and said in message for one, message in found), found


@pytest.mark.parametrize(("name", "code"), [("delegate", "C087"), ("a__b", "C015"), ("a.b", "C015")])
def test_a_name_of_its_own_is_needed(problems, name, code):
    assert [one for one, _ in problems("{inputSchema: {type: object}, providers: [{tool: s.a}]}", name)] == [code]


def test_a_profile_may_name_a_logical_tool(loaded):
    text = f"{HEAD}tools: {{find: {{inputSchema: {{type: object}}, providers: [{{tool: s.a}}]}}}}\n"
    found = loaded(text + "profiles: {p: {include: [find, 'fi*', fnd]}}\n").problems
    assert [one.message for one in found if str(one.code) == "C052"] == ['pattern "fnd" of profile p fits no server']
