from dataclasses import replace

from engines import MODERN

from mcp_orchestrator.backends.builtin_orders import ordered
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.call import Invocation, Principal


def invocation(**fields):
    return Invocation("r1", "tools/call", {}, {}, MODERN, principal=Principal("local:ada"), **fields)


def test_a_call_becomes_an_order_with_limits_in_the_units_of_runs():
    arguments = {
        "budget": {"usd": 0.25, "turns": 3, "minutes": 1.5},
        "labels": ["a"],
        "mode": "write",
        "workspace": "/w",
    }
    order = ordered(invocation(trace="t"), arguments, "do it")
    assert order.limits == {"cost": 250_000, "turns": 3, "seconds": 90.0}
    assert (order.run, order.task, order.owner.id, order.trace) == ("r1", "do it", "local:ada", "t")
    assert (order.labels, order.mode, order.workspace) == (("a",), AgentMode.WRITE, "/w")


def test_what_is_left_out_means_to_read_without_limits():
    order = ordered(invocation(), {}, "x")
    assert (order.mode, order.limits, order.agent, order.labels) == (AgentMode.READ, {}, None, ())


def test_the_client_is_called_as_it_calls_itself():
    named = replace(invocation(), client=replace(MODERN, info={"name": "cursor-vscode", "version": "1"}))
    assert ordered(named, {}, "x").client == "cursor-vscode"
    assert ordered(replace(named, client=replace(MODERN, info=None)), {}, "x").client == ""
