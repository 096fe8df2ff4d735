"""Parts of a file that may be any value are read as plain JSON."""

from mcp_orchestrator.config.plain_values import inner, tables_of


def test_values_are_read_as_they_are_written_and_references_are_filled_in(loaded):
    text = (
        "mcpServers: {s: {command: x}}\noverrides:\n  s.t: {arguments: {a: {const: "
        '{n: 1, t: "1", l: [true, null, 1.5], r: "${env:WHO}-x"}}}}\n'
    )
    made = loaded(text, WHO="me").snapshot.overrides["s.t"].arguments["a"].const[0]
    assert made == {"n": 1, "t": "1", "l": [True, None, 1.5], "r": "me-x"}


def test_a_reference_that_leads_nowhere_is_a_problem(codes):
    text = 'mcpServers: {s: {command: x}}\noverrides: {s.t: {arguments: {a: {const: "${env:WHO}"}}}}\n'
    assert "C031" in codes(text)


def test_paths_that_lead_nowhere_lead_to_nothing():
    assert inner(None, "a") is None
    assert tables_of(None) == []
