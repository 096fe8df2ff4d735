"""What a rule or budget is about, as it is written."""

from mcp_orchestrator.config.match_sections import KINDS, MATCH, match_of
from mcp_orchestrator.core.policy_rules import DELEGATION, ELICITATION, SAMPLING
from mcp_orchestrator.model.call import CallKind
from mcp_orchestrator.model.rules import Match

BASE = "mcpServers: {s: {command: x}}\n"


def test_a_single_pattern_stands_for_a_list_of_one(loaded):
    text = "budgets: [{id: b, limit: {calls: 1}, match: {tool: 'a.*', labels: write, kind: [tool, prompt]}}]\n"
    (spec,) = loaded(BASE + text).snapshot.budgets
    assert spec.match == Match(tool=("a.*",), labels=("write",), kind=("tool", "prompt"))


def test_every_kind_of_call_can_be_named():
    assert set(KINDS) == {kind.value for kind in CallKind} | {DELEGATION, SAMPLING, ELICITATION}


def test_every_key_of_the_format_is_one_of_the_engine():
    assert set(MATCH.names()) == set(Match.__slots__)
    assert match_of({}) == Match()


def test_an_unknown_kind_is_refused(loaded):
    problem = loaded(f"{BASE}budgets: [{{id: b, limit: {{calls: 1}}, match: {{kind: tools}}}}]\n").errors[0]
    assert "tools" in problem.message
