"""Claude Code 2.1.330, a client of the modern era, with an old and a new server behind the gateway (2026-11-24).

Measured: it probes `server/discover` (2026-07-28) first and stays modern, over stdio and HTTP; without a host
(`claude -p`) it answers every elicitation with `cancel` by itself; a host on its control protocol is asked
(`control_request`, subtype `elicitation`) for legacy and modern servers alike, and so is an `Elicitation` hook of its
settings, which may answer without a host.
"""

import json

import pytest
from agent_hosts import bookings
from hotel_form import FORM, question

from mcp_orchestrator.testing.scripted_model import ScriptedModel, Turn

pytestmark = pytest.mark.real

WISHES = {"guest": "Ada Lovelace", "nights": 3, "breakfast": True, "bed": "double"}


@pytest.mark.parametrize("gateway", ["http", "stdio", "http crossed", "stdio crossed"], indirect=True)
def test_answers_of_its_host_reach_an_old_and_a_new_server(claude_code, gateway, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        agent = claude_code(model, gateway)
        told = agent.hosted(lambda _question: {"action": "accept", "content": WISHES})
        (start,) = [one for one in told.said if one.get("subtype") == "init"]
        assert [(one["name"], one["status"]) for one in start["mcp_servers"]] == [("gateway", "connected")]
        assert {"mcp__gateway__old__book", "mcp__gateway__new__book"} <= set(model.seen[0].offered)
        assert [one["message"] for one in told.questions] == [question(old), question(new)]
        assert all(one["requested_schema"] == FORM for one in told.questions)
        row = {"room": old, "version": "2025-11-25", "action": "accept", "content": WISHES}
        assert hotels.booked("old", old) == row
        row = {"room": new, "version": "2026-07-28", "action": "accept", "content": WISHES, "state": f"kept for {new}"}
        assert hotels.booked("new", new) == row
        guests = [json.loads(result)["guest"] for result in model.seen[-1].results.values()]
        assert guests == ["Ada Lovelace", "Ada Lovelace"]
        assert (told.end["result"], told.end["is_error"]) == ("Both are booked.", False)


def test_it_speaks_the_modern_era_with_the_gateway(claude_code, by_stdio, remember, hotels, tmp_path):
    """It gives its probe up after 2.9 s: a gateway that knows its servers answers as soon as it has started."""
    remember(hotels.servers, tmp_path)
    gateway = by_stdio(hotels.servers, tmp_path)
    with ScriptedModel([Turn("Hello.")]) as model:
        claude_code(model, gateway).alone()
    methods = gateway.methods()
    assert methods[0][0] == "server/discover"
    assert "initialize" not in [method for method, _params in methods]
    versions = {params["_meta"]["io.modelcontextprotocol/protocolVersion"] for _method, params in methods}
    assert versions == {"2026-07-28"}


def test_in_the_legacy_era_answers_of_its_host_reach_both_servers_too(claude_code, by_stdio, hotels, rooms):
    old, new = next(rooms), next(rooms)
    gateway = by_stdio(hotels.servers)
    with ScriptedModel(bookings(old, new)) as model:
        agent = claude_code(model, gateway, legacy=True)
        told = agent.hosted(lambda _question: {"action": "accept", "content": WISHES})
    assert gateway.methods()[0][0] == "initialize"
    assert [one["message"] for one in told.questions] == [question(old), question(new)]
    assert [hotels.booked("old", old)["content"], hotels.booked("new", new)["content"]] == [WISHES, WISHES]


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_refusal_of_its_host_reaches_both_servers(claude_code, serve, hotels, rooms, action):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        agent = claude_code(model, serve(hotels.servers))
        told = agent.hosted(lambda _question: {"action": action})
    assert len(told.questions) == 2
    assert hotels.booked("old", old)["action"] == action
    assert hotels.booked("new", new)["action"] == action


def test_without_a_host_it_cancels_and_the_calls_still_end(claude_code, serve, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        told = claude_code(model, serve(hotels.servers)).alone()
    assert told.end["result"] == "Both are booked."
    assert [hotels.booked("old", old)["action"], hotels.booked("new", new)["action"]] == ["cancel", "cancel"]


def test_without_a_host_a_hook_of_its_settings_may_answer(claude_code, serve, hotels, rooms):
    old, new = next(rooms), next(rooms)
    with ScriptedModel(bookings(old, new)) as model:
        claude_code(model, serve(hotels.servers)).alone(hook={"action": "accept", "content": WISHES})
    assert hotels.booked("old", old)["content"] == WISHES
    assert hotels.booked("new", new)["content"] == WISHES
