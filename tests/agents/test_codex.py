"""Codex 0.169.0, a client of the legacy era, with an old and a new server behind the gateway (2026-11-24).

Measured: it opens with `initialize` 2025-06-18, over stdio and HTTP; `codex exec` answers every elicitation with
`decline` by itself; a host of `codex app-server` is asked (`mcpServer/elicitation/request`). It sends its first
request to the model without the tools of a server that was not ready after about a second (0.8 s: in; 1.1 s: out).
With `features.mcp_2026_07_28` it is a client of the modern era over HTTP, and its host is asked just the same.
"""

import pytest
from agent_hosts import bookings
from hotel_form import FORM, question

from mcp_orchestrator.testing.scripted_model import ScriptedModel, Turn

pytestmark = pytest.mark.real

WISHES = {"guest": "Grace Hopper", "nights": 2, "breakfast": False, "bed": "single"}
TOOLS = {"mcp__gateway__old__book", "mcp__gateway__new__book"}


@pytest.mark.parametrize("gateway", ["http", "stdio", "http crossed", "stdio crossed"], indirect=True)
def test_answers_of_its_host_reach_an_old_and_a_new_server(codex, gateway, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        agent = codex(model, gateway)
        told = agent.hosted(lambda _question: {"action": "accept", "content": WISHES})
        assert set(model.seen[0].offered) >= TOOLS
        assert [(one["serverName"], one["message"]) for one in told.questions] == [
            ("gateway", question(old)),
            ("gateway", question(new)),
        ]
        for one in told.questions:
            assert one["mode"] == "form"
            assert one["requestedSchema"]["required"] == FORM["required"]
            assert set(one["requestedSchema"]["properties"]) == set(FORM["properties"])
        row = {"room": old, "version": "2025-06-18", "action": "accept", "content": WISHES}
        assert hotels.booked("old", old) == row
        row = {"room": new, "version": "2026-07-28", "action": "accept", "content": WISHES, "state": f"kept for {new}"}
        assert hotels.booked("new", new) == row
        results = list(model.seen[-1].results.values())
        assert all('"guest":"Grace Hopper"' in str(result) for result in results), results
        assert told.end["params"]["turn"]["status"] == "completed"


@pytest.mark.parametrize("way", ["serve", "by_stdio"])
def test_it_starts_with_remembered_tools_of_a_server_that_does_not_come_up(request, codex, closed, way):
    """Over stdio it is told to wait for the gateway itself, whose start takes a busy machine a second."""
    gateway = request.getfixturevalue(way)(*closed)
    with ScriptedModel([Turn("Hello.")]) as model:
        codex(model, gateway, required=way == "by_stdio").alone()
    assert "mcp__gateway__old__book" in model.seen[0].offered


def test_it_speaks_the_legacy_era_with_the_gateway(codex, by_stdio, hotels):
    gateway = by_stdio(hotels.servers)
    with ScriptedModel([Turn("Hello.")]) as model:
        codex(model, gateway).alone()
    methods = gateway.methods()
    assert [method for method, _params in methods] == ["initialize", "notifications/initialized", "tools/list"]
    assert methods[0][1]["protocolVersion"] == "2025-06-18"


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_refusal_of_its_host_reaches_both_servers(codex, serve, hotels, rooms, action):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        agent = codex(model, serve(hotels.servers))
        told = agent.hosted(lambda _question: {"action": action})
    assert len(told.questions) == 2
    assert hotels.booked("old", old)["action"] == action
    assert hotels.booked("new", new)["action"] == action


def test_without_a_host_it_declines_and_the_calls_still_end(codex, serve, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        told = codex(model, serve(hotels.servers)).alone()
    assert told.end["type"] == "turn.completed"
    assert [hotels.booked("old", old)["action"], hotels.booked("new", new)["action"]] == ["decline", "decline"]


def test_with_its_modern_feature_on_answers_still_reach_both_servers(codex, serve, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        agent = codex(model, serve(hotels.servers), modern=True)
        told = agent.hosted(lambda _question: {"action": "accept", "content": WISHES})
    assert [one["message"] for one in told.questions] == [question(old), question(new)]
    # The gateway opens sessions for modern clients in its own version: Codex did not say `initialize` 2025-06-18.
    row = {"room": old, "version": "2025-11-25", "action": "accept", "content": WISHES}
    assert hotels.booked("old", old) == row
    assert hotels.booked("new", new)["content"] == WISHES
