import asyncio
from dataclasses import replace

from mcp_orchestrator.agent_api import Glimpse
from mcp_orchestrator.listeners.a2a_requests import MOST_HISTORY, MOST_REMEMBERED, Histories
from mcp_orchestrator.model.agent import AgentMode, AgentUsage
from mcp_orchestrator.model.delegation import Delegated

KEPT = Delegated("r1", "coder", "codex", "the task", AgentMode.READ, "ada", context="c1")


def seen(ident="r1"):
    return Glimpse(replace(KEPT, id=ident), "", {}, (), AgentUsage(), asyncio.Event())


def test_a_history_is_what_was_said_with_its_task_and_context():
    histories = Histories()
    histories.add(seen(), {"messageId": "m1"})
    assert histories.of(seen()) == [{"messageId": "m1", "taskId": "r1", "contextId": "c1"}]


def test_after_a_restart_the_task_itself_is_the_history():
    (only,) = Histories().of(seen())
    assert (only["parts"], only["role"], only["taskId"]) == ([{"text": "the task"}], "ROLE_USER", "r1")


def test_histories_are_bounded():
    histories = Histories()
    for number in range(MOST_HISTORY + 5):
        histories.add(seen(), {"messageId": str(number)})
    assert len(histories.of(seen())) == MOST_HISTORY
    for number in range(MOST_REMEMBERED):
        histories.add(seen(f"other{number}"), {"messageId": "x"})
    assert histories.of(seen())[0]["messageId"] == "r1-task"
