import pytest

from mcp_orchestrator.model.agent_routes import Order, RouteMatch, Then

AGENTS = """
agents:
  one: {kind: acp, command: agent}
  two: {kind: acp, command: agent}
"""


def test_a_whole_route_is_read(snapshot):
    made = snapshot(
        AGENTS
        + """
routes:
  - id: reviews
    match: {labels: review, task: ["/cve/"], workspace: /srv/*, mode: write}
    when: budget.left_usd > 1.0
    to: [two, one]
    strategy: cheapest
    on: {quota: fail, failed: next}
    verify: {command: [make, test], timeout: 10s, schema: {type: object}}
    escalate: true
"""
    )
    (route,) = made.routes
    assert (route.id, route.to, route.strategy, route.escalate) == ("reviews", ("two", "one"), Order.CHEAPEST, True)
    assert route.match == RouteMatch(labels=("review",), task=("/cve/",), workspace=("/srv/*",), mode="write")
    assert (route.on_quota, route.on_missing, route.on_failed) == (Then.FAIL, Then.NEXT, Then.NEXT)
    assert (route.verify.command, route.verify.timeout, route.verify.schema) == (
        ("make", "test"),
        10.0,
        {"type": "object"},
    )
    assert route.where.endswith(":7")


@pytest.mark.parametrize(
    ("route", "code", "said"),
    [
        ("{id: r, to: []}", "C060", "has no agents"),
        ("{id: r}", "C060", "has no agents"),
        ("{to: [one]}", "C060", "has no id"),
        ("{id: r, to: [on]}", "C090", 'there is no agent "on"'),
        ("{id: r, to: [one, one]}", "C073", "twice"),
        ("{id: r, to: [one], match: {task: '/(/'}}", "C072", "no regular expression"),
        ("{id: r, to: [one], when: 'args.task'}", "C070", "true or false"),
        ("{id: r, to: [one], when: 'budget.lefft > 1.0'}", "C070", "there is no budget.lefft"),
        ("{id: r, to: [one], escalate: true}", "C073", "nothing without verify"),
        ("{id: r, to: [one], compare: 2}", "C073", "compares 2 agents and names 1"),
        ("{id: r, to: [one, two], compare: 2, on: {quota: next}}", "C073", "nothing with compare"),
        ("{id: r, to: [one, two], compare: 2, verify: {command: [x]}, escalate: true}", "C073", "both escalate and compare"),
        ("{id: r, to: [one], verify: {command: []}}", "C060", "no command"),
        ("{id: r, to: [one], verify: {schema: {type: 5}}}", "C085", "unusable"),
        ("{id: r, to: [one], verify: {schema: {}, timeout: 3s}}", "C073", "timeout means nothing"),
        ("{id: r, to: [one]}\n  - {id: r, match: {mode: read}, to: [one]}", "C066", "two routes with the id"),
    ],
)  # fmt: skip
def test_what_could_not_be_carried_out_is_refused_with_its_place(loaded, route, code, said):
    found = [one for one in loaded(f"{AGENTS}routes:\n  - {route}\n").problems if one.code == code]
    assert found, loaded(f"{AGENTS}routes:\n  - {route}\n").problems
    assert said in found[0].message
    assert found[0].line is not None
    assert found[0].line >= 6


def test_the_column_of_a_mistake_in_a_condition_is_told(loaded):
    text = f"{AGENTS}routes:\n  - {{id: r, to: [one], when: \"mode == 'read' && labells == []\"}}\n"
    found = next(one for one in loaded(text).problems if one.code == "C070")
    line = text.splitlines()[found.line - 1]
    assert line[found.column - 1 :].startswith("labells")


def test_a_route_that_is_never_reached_is_told(loaded):
    text = f"{AGENTS}routes:\n  - {{id: all, to: [one]}}\n  - {{id: never, match: {{mode: read}}, to: [two]}}\n"
    (found,) = [one for one in loaded(text).problems if one.code == "C091"]
    assert found.severity == "warning"
    assert 'route "never" is never reached' in found.message
    other = f"{AGENTS}routes:\n  - {{id: some, to: [one], when: 'mode == \"x\"'}}\n  - {{id: rest, to: [two]}}\n"
    assert not [one for one in loaded(other).problems if one.code == "C091"]
