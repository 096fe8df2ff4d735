import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.agent_routes import Routes, Wanted, World, pick, trouble
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec
from mcp_orchestrator.model.agent_routes import AgentRoute, Order, RouteMatch, Standing
from mcp_orchestrator.model.call import Principal

ADA = Principal("local:ada", groups=("backend",), team="core")


def agent(name, **spec):
    return AgentSpec(name, AgentKind.SCRIPTED, where=f"o.yaml:{len(name)}", **spec)


def route(name, *to, where="o.yaml:9", **fields):
    return AgentRoute(name, to or ("a",), where=where, **fields)


def wanted(task="fix it", mode=AgentMode.READ, principal=ADA, **fields):
    return Wanted(task, mode, principal, **fields)


def world(*agents, now=1000.0, forbids=lambda _spec: "", **standings):
    return World(agents or (agent("a"), agent("b"), agent("c")), standings, now, forbids)


def chosen(routes, want=None, there=None):
    choice = Routes(routes).choose(want or wanted(), there or world())
    return choice.agent.name if choice.agent is not None else None


def test_without_routes_the_first_agent_with_the_labels_is_taken():
    choice = Routes().choose(wanted(labels=("x",)), world(agent("a"), agent("b", labels=("x",))))
    assert (choice.agent.name, choice.route) == ("b", None)


def test_the_first_route_that_fits_decides_in_the_order_of_the_file():
    routes = [route("one", "c", match=RouteMatch(labels=("review",))), route("two", "b"), route("three", "a")]
    choice = Routes(routes).choose(wanted(labels=("review",)), world(agent("a"), agent("b"), agent("c")))
    assert (choice.agent.name, choice.route.id) == ("c", "one")
    assert chosen(routes) == "b"
    reason = choice.reasons[0]
    assert (reason.step, reason.rule, reason.where) == ("route", "one", "o.yaml:9")


@pytest.mark.parametrize(
    ("match", "fits", "other"),
    [
        ({"task": ("*refactor*",)}, {"task": "please\nrefactor it"}, {"task": "please Refactor it"}),
        ({"task": ("/(?i)cve-[0-9]+/",)}, {"task": "look at CVE-20\nnow"}, {"task": "cve-"}),
        ({"task": ("nothing", "/fix/")}, {"task": "fix"}, {"task": "mend"}),
        ({"workspace": ("/srv/app/*",)}, {"places": ("/srv/app/sub/x",)}, {"places": ("/srv/apple",)}),
        ({"workspace": ("/srv/app/*",)}, {"places": ("/srv/app",)}, {}),
        ({"workspace": ("/srv/app",)}, {"places": ("/ws/r1/tree", "/srv/app")}, {"places": ("/ws/r1/tree",)}),
        ({"principal": ("local:*",)}, {}, {"principal": Principal("token:ci")}),
        ({"principal": ("local:ada",)}, {"principal": Principal("agent:a:r1", owner="local:ada")}, {"principal": Principal("agent:a:r1")}),
        ({"group": ("back*",)}, {}, {"principal": Principal("local:ada")}),
        ({"client": ("cursor*",)}, {"client": "cursor-vscode"}, {"client": "zed"}),
        ({"context": ("release-*",)}, {"context": "release-1"}, {}),
        ({"mode": "write"}, {"mode": AgentMode.WRITE}, {}),
        ({"labels": ("x", "y")}, {"labels": ("y", "x")}, {"labels": ("x",)}),
    ],
)  # fmt: skip
def test_every_key_of_a_match_must_fit(match, fits, other):
    routes = [route("r", "c", match=RouteMatch(**match)), route("else", "b")]
    agents = world(agent("a"), agent("b", labels=("x", "y")), agent("c", labels=("x", "y")))
    assert chosen(routes, wanted(**fits), agents) == "c"
    assert chosen(routes, wanted(**other), agents) == "b"


@given(task=st.text())
def test_any_task_can_be_looked_at(task):
    routes = [route("r", "c", match=RouteMatch(task=("/[a-z]+q/", "*q?"))), route("else", "b")]
    assert chosen(routes, wanted(task)) in {"b", "c"}


def test_a_condition_reads_the_arguments_the_caller_and_what_is_left_of_the_budget():
    routes = [
        route("big", "c", when='args.task.size() > 3 && budget.left_usd >= 2.0 && "backend" in principal.groups'),
        route("small", "b"),
    ]
    args = {"task": "long"}
    assert chosen(routes, wanted(args=args)) == "c", "no limit is more than any"
    assert chosen(routes, wanted(args=args, left=2_000_000)) == "c"
    assert chosen(routes, wanted(args=args, left=1_999_999)) == "b"
    assert chosen(routes, wanted(args=args, principal=Principal("local:bob"))) == "b"


def test_a_condition_that_cannot_be_decided_refuses_rather_than_to_give_the_work_to_others():
    routes = [route("r", "c", when='args.workspace.startsWith("/srv")'), route("else", "b")]
    choice = Routes(routes).choose(wanted(args={"task": "x"}), world())
    assert choice.agent is None
    assert "route 'r' cannot be decided" in choice.refusal
    assert "o.yaml:9" in choice.refusal


def test_a_condition_is_not_asked_of_a_delegation_that_the_plain_part_does_not_fit():
    routes = [route("r", "c", match=RouteMatch(mode="write"), when='args.workspace == "/srv"'), route("else", "b")]
    assert chosen(routes, wanted(args={})) == "b"


def test_agents_that_cannot_take_it_are_passed_over_each_with_its_reason():
    agents = [agent("a", most_mode=AgentMode.READ), agent("b"), agent("c"), agent("d"), agent("e", labels=("rust",))]
    there = world(
        *agents,
        forbids=lambda spec: "the policy says no" if spec.name == "c" else "",
        b=Standing(1060.0, "quota: try later"),
    )
    want = wanted(mode=AgentMode.WRITE, labels=("rust",))
    choice = Routes([route("r", "a", "gone", "b", "c", "d", "e")]).choose(want, there)
    assert choice.agent.name == "e"
    told = " | ".join(one.text for one in choice.reasons)
    assert "a is passed over: it may only read (o.yaml:1)" in told
    assert "gone is passed over: it is disabled, or not in the configuration" in told
    assert "d is passed over: it does not have the label rust" in told
    assert all(one.rule == "r" for one in choice.reasons)
    choice = Routes([route("r", "b", "c")]).choose(wanted(), there)
    assert choice.agent is None
    assert "b is passed over: on the bench for another 60 s: quota: try later" in choice.refusal
    assert "c is passed over: the policy says no" in choice.refusal


def test_the_bench_is_over_at_its_time():
    there = world(a=Standing(1000.0, "rate"))
    assert chosen([route("r", "a", "b")], there=there) == "a"


def test_a_busy_agent_is_passed_over_and_waited_for_only_when_all_are_busy():
    agents = (agent("a", max_runs=1), agent("b", max_runs=1))
    assert chosen([route("r", "a", "b")], there=world(*agents, a=Standing(working=1))) == "b"
    both = world(*agents, a=Standing(working=1), b=Standing(working=1))
    assert chosen([route("r", "b", "a")], there=both) == "b"


def test_the_labels_of_a_match_are_what_the_route_answers_for_and_others_the_agent_must_have():
    routes = [route("r", "a", "b", match=RouteMatch(labels=("review",)))]
    there = world(agent("a"), agent("b", labels=("rust",)))
    assert chosen(routes, wanted(labels=("review",)), there) == "a"
    assert chosen(routes, wanted(labels=("review", "rust")), there) == "b"


def test_the_strategies_order_by_cost_and_by_runs_and_what_is_not_known_is_never_cheap():
    there = world(a=Standing(working=2), b=Standing(working=1, cost=900), c=Standing(working=3, cost=100))
    assert chosen([route("r", "a", "b", "c", strategy=Order.CHEAPEST)], there=there) == "c"
    assert chosen([route("r", "a", "b", strategy=Order.CHEAPEST)], there=there) == "b"
    assert chosen([route("r", "a", "b", "c", strategy=Order.IDLE)], there=there) == "b"


def test_an_agent_that_is_named_is_taken_and_the_route_only_says_how_it_is_verified():
    there = world(a=Standing(2000.0, "rate"))
    choice = Routes([route("r", "b")]).choose(wanted(agent="a"), there)
    assert (choice.agent.name, choice.route.id) == ("a", "r")
    assert Routes([route("r", "b")]).choose(wanted(agent="nobody"), there).agent is None


def test_where_no_route_fits_an_agent_on_the_bench_comes_after_the_others():
    routes = [route("r", "c", match=RouteMatch(labels=("never",)))]
    assert chosen(routes, there=world(a=Standing(2000.0, "rate"))) == "b"
    alone = world(agent("a"), a=Standing(2000.0, "rate"))
    assert chosen(routes, there=alone) == "a", "there is nobody else"


def test_several_are_compared_and_one_alone_is_not():
    there = world(b=Standing(2000.0, "rate"))
    choice = Routes([route("r", "a", "b", "c", compare=2)]).choose(wanted(), there)
    assert [spec.name for spec in choice.several] == ["a", "c"]
    choice = Routes([route("r", "b", "c", compare=2)]).choose(wanted(), there)
    assert (choice.agent.name, choice.several) == ("c", ())
    assert "nobody to compare" in choice.reasons[-1].text
    assert Routes([route("r", "b", "d", compare=2)]).choose(wanted(), there).agent is None


def test_the_next_agent_is_none_of_those_that_have_tried():
    one = route("r", "a", "b", "c")
    assert pick(one, wanted(), world(), ["a", "b"]).agent.name == "c"
    assert pick(one, wanted(), world(), ["a", "b", "c"]).agent is None


def test_a_bad_expression_is_told_and_globs_are_none():
    assert trouble(RouteMatch(task=("*", "/ok/"))) is None
    assert trouble(RouteMatch(task=("/(?=x)/",)))[0] == "/(?=x)/"
    with pytest.raises(ValueError, match="route 'r'"):
        Routes([route("r", when="nothing.known")])


def test_an_agent_that_no_budget_has_enough_for_is_passed_over_with_and_without_a_route():
    there = World((agent("a"), agent("b")), {}, 1000.0, dear=("a",))
    choice = Routes([route("r", "a", "b")]).choose(wanted(), there)
    assert choice.agent.name == "b"
    assert "a is passed over: no budget has enough left for it" in choice.reasons[1].text
    assert Routes().choose(wanted(), there).agent.name == "b"
