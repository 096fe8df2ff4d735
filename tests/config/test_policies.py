"""Rules are read with their places, and those that could not be carried out as meant are refused."""

import pytest

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.model.rules import Effect, Match, Phase, PolicyRule, Rate, Redaction, Scope


def rules(made):
    assert made.snapshot is not None, [problem.render() for problem in made.errors]
    return made.snapshot.policies


def test_the_rules_of_the_design_are_read_whole(loaded):
    found = rules(
        loaded(
            """
policies:
  - {id: no-main, match: {tool: "github.push*"}, when: 'args.branch in ["main"]', effect: deny, reason: protected}
  - {id: ask, match: {annotations: {destructiveHint: true}}, effect: ask, approvers: [operator, "group:oncall"], remember: run, expires: 5m}
  - {id: rate, effect: limit, limit: {count: 60, every: 1m, burst: 10, per: [principal, tool]}}
  - {id: mail, effect: redact, redact: {patterns: ["email", "secret:*"], fields: ["**.token"]}}
  - {id: fix, effect: rewrite, rewrite: {branch: '"x/" + args.branch', draft: {const: true}}}
"""
        )
    )
    place = [rule.where.rsplit(":", 1)[1] for rule in found]
    assert place == ["3", "4", "5", "6", "7"]
    assert found == (
        PolicyRule("no-main", Effect.DENY, Match(tool=("github.push*",)), 'args.branch in ["main"]', reason="protected"),
        PolicyRule(
            "ask", Effect.ASK, Match(annotations={"destructiveHint": True}), approvers=("operator", "group:oncall"),
            scope=Scope.RUN, expires=300.0,
        ),
        PolicyRule("rate", Effect.LIMIT, rate=Rate(60, 60.0, 10, ("principal", "tool"))),
        PolicyRule("mail", Effect.REDACT, phases=(Phase.RESULT,), redact=Redaction(("email", "secret:*"), (), ("**.token",))),
        PolicyRule("fix", Effect.REWRITE, rewrite={"branch": '"x/" + args.branch', "draft": {"const": True}}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "column", "fix"),
    [
        ("""- {id: a, effect: deny, when: 'tool.nmae == "x"'}""", Code.BAD_CONDITION, 34, "did you mean tool.name?"),
        ("""- {id: a, effect: deny, when: "true && tool.nmae == 'x'"}""", Code.BAD_CONDITION, 42, "tool.name"),
        ("- {id: a, effect: deny, when: tool.name}", Code.BAD_CONDITION, 33, "compare it"),
        ("- {id: a, effect: deny, when: run.depth > 1.5}", Code.BAD_CONDITION, 43, "1.0"),
        ("- {id: a, effect: deny, phases: [list, call], when: 'args.x == 1'}", Code.BAD_CONDITION, 56, "phases: [call"),
        ("- {id: a, effect: redact, redact: {patterns: [emial]}}", Code.UNKNOWN_PATTERN, 49, "email"),
        ("- {id: a, effect: redact, redact: {expressions: ['(a']}}", Code.BAD_EXPRESSION, 52, "mend"),
        ("- {id: a, effect: limit}", Code.LACKING_KEY, 5, "give limit"),
        ("- {id: a, effect: deny, limit: {count: 1}}", Code.USELESS_KEY, 27, "effect: limit"),
        ("- {id: a, effect: ask, phases: [list]}", Code.USELESS_KEY, 26, "phases: [call]"),
        ("- {id: a, effect: ask, phases: [result]}", Code.USELESS_KEY, 26, "phases: [call]"),
        ("- {id: a}", Code.LACKING_KEY, 5, "deny, ask"),
        ("- {id: a, efect: deny}", Code.UNKNOWN_KEY, 13, "effect"),
        ("- {id: a, effect: denie}", Code.NOT_A_CHOICE, 21, "deny"),
        ("- {effect: deny}", Code.LACKING_KEY, 5, "id"),
        ("- {id: a, effect: ask, approvers: [ada]}", Code.MALFORMED, 38, "operator"),
        ("- {id: a, effect: rewrite, rewrite: {x: 4}}", Code.MALFORMED, 40, "{const: VALUE}"),
        ("- {id: a, effect: rewrite, rewrite: {x: 'args.'}}", Code.BAD_CONDITION, 49, ""),
        ("- {id: a, effect: deny, match: {kind: [tol]}}", Code.MALFORMED, 42, "one of tool"),
        ("- {id: a, effect: deny, when: 'args.l.all(x, args.s.matches(\"a\"))'}", Code.BAD_CONDITION, 34, "long"),
    ],
)
def test_a_rule_that_is_wrong_is_refused_with_its_place_and_a_fix(loaded, line, code, column, fix):
    made = loaded(f"policies:\n  {line}\n")
    found = [problem for problem in made.errors if problem.code is code]
    assert [(problem.line, problem.column) for problem in found] == [(2, column)], [p.render() for p in made.errors]
    assert fix in found[0].fix


def test_a_mistake_in_a_block_of_text_has_its_own_line(loaded):
    made = loaded(
        """
policies:
  - id: a
    effect: deny
    when: |
      tool.name == "x" &&
        tool.nmae == "y"
"""
    )
    assert [(problem.line, problem.column) for problem in made.errors] == [(7, 9)]


def test_two_rules_of_one_id_are_refused(loaded):
    made = loaded("policies:\n  - {id: a, effect: deny}\n  - {id: a, effect: allow}\n")
    assert [(problem.code, problem.line) for problem in made.errors] == [(Code.DUPLICATE_ID, 3)]
    assert "line 2" in made.errors[0].message


def test_without_a_condition_the_engine_is_not_loaded(loaded, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cel_expr_python", None)
    assert len(rules(loaded("policies: [{id: a, effect: deny, match: {tool: x.y}}]"))) == 1
