"""Agents of both eras at the same gateway at the same time (Claude Code 2.1.330, Codex 0.169.0, 2026-11-24)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from agent_hosts import bookings
from hotel_form import question

from mcp_orchestrator.testing.scripted_model import ScriptedModel

pytestmark = pytest.mark.real


def test_every_question_reaches_the_agent_whose_call_it_belongs_to(claude_code, codex, serve, hotels, rooms):
    gateway = serve(hotels.servers)

    def run(name, kind):
        old, new = next(rooms), next(rooms)
        with ScriptedModel(bookings(old, new)) as model:
            told = kind(model, gateway).hosted(lambda _asked: {"action": "accept", "content": wishes(name)})
        return name, [one["message"] for one in told.questions], old, new

    def wishes(name):
        return {"guest": name, "nights": 1}

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(run, ("ada", "bea", "cyd", "dot"), (claude_code, claude_code, codex, codex)))
    for name, asked, old, new in ends:
        assert asked == [question(old), question(new)]
        assert hotels.booked("old", old)["content"] == wishes(name)
        assert hotels.booked("new", new)["content"] == wishes(name)
