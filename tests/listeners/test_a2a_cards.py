import json

from a2a_door import AGENTS

from mcp_orchestrator.listeners.a2a_cards import Shelf, agent_card, router_card


def test_a_router_without_agents_still_has_a_whole_card():
    card = router_card("http://x", ())
    assert card["skills"][0]["id"] == "none"
    assert "none yet" in card["description"]


def test_an_agent_without_a_description_gets_one_of_its_kind():
    card = agent_card("http://x", AGENTS[1])
    assert (card["name"], card["description"]) == ("reader", "The agent reader (claude-code).")
    assert card["skills"][0]["tags"] == ["claude-code", "read"]


def test_a_card_keeps_its_validators_until_it_changes():
    shelf = Shelf()
    status, body, headers = shelf.serve("p", {"a": 1}, "", 0.0)
    tag = dict(headers)[b"etag"].decode()
    assert (status, json.loads(body)) == (200, {"a": 1})
    for wanted in (tag, f'"other", W/{tag}', "*"):
        again = shelf.serve("p", {"a": 1}, wanted, 1000.0)
        assert again[:2] == (304, b"")
        assert dict(again[2])[b"last-modified"] == dict(headers)[b"last-modified"]
    status, _, changed = shelf.serve("p", {"a": 2}, tag, 1000.0)
    assert status == 200
    assert dict(changed)[b"last-modified"] != dict(headers)[b"last-modified"]
