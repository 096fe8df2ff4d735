import pytest
from delegating import Agent, House
from engines import MODERN, tool_call

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.agent_routes import AgentRoute, RouteMatch
from mcp_orchestrator.model.outcome import ToolRefusal
from mcp_orchestrator.model.plan import Plan, Reason, Target
from mcp_orchestrator.runtime.steered_calls import choice_of, order_of_call, steered

pytestmark = pytest.mark.anyio

REASONS = (Reason("identity", "ada"), Reason("catalog", "delegate"), Reason("schema", "fits"))


def plan(name="delegate", backend=OWN):
    return Plan(Target(backend, name, None, 5.0), None, REASONS)


@pytest.fixture
async def delegations(tmp_path):
    house = House(tmp_path, Agent("one"), Agent("two"))
    routes = [AgentRoute("r", ("two",), match=RouteMatch(labels=("x",)), where="o.yaml:2")]
    house.delegations.configure(house.agents, house.rules, routes)
    return house.delegations


def test_a_call_is_read_as_an_order_and_what_is_of_another_type_is_left_out():
    call = tool_call(
        "delegate", MODERN, task="t", labels=["a", 5], mode="write", budget={"usd": 0.5}, context="c", agent=7
    )
    order = order_of_call(call)
    assert (order.task, order.labels, order.mode, order.context) == ("t", ["a"], AgentMode.WRITE, "c")
    assert (order.limits, order.agent, order.workspace) == ({"cost": 500_000}, None, None)
    strange = tool_call("delegate", MODERN, task=5, labels="x", budget=[1])
    assert (order_of_call(strange).task, tuple(order_of_call(strange).labels)) == ("", ())
    strange.params["arguments"] = None
    assert order_of_call(strange).task == ""


async def test_the_plan_of_a_delegation_tells_the_route_after_the_catalog(delegations):
    call = tool_call("delegate", MODERN, task="t", labels=["x"])
    assert choice_of(delegations, call).agent.name == "two"
    decided = steered(plan(), call, delegations)
    assert [reason.step for reason in decided.reasons][:3] == ["identity", "catalog", "route"]
    assert decided.reasons[2].where == "o.yaml:2"
    assert decided.reasons[-1].step == "schema"


async def test_any_other_plan_is_left_alone(delegations):
    call = tool_call("run_list", MODERN)
    for other in (plan("run_list"), plan("delegate", "server"), Plan(None, ToolRefusal("no"), REASONS)):
        assert steered(other, call, delegations) is other


async def test_a_delegation_that_nobody_can_take_is_refused_by_the_plan(delegations):
    call = tool_call("delegate", MODERN, task="t", labels=["x", "rust"])
    decided = steered(plan(), call, delegations)
    assert decided.target is None
    assert "two is passed over: it does not have the label rust" in decided.refusal.text
