from dataclasses import replace

import pytest
from delegating import Agent, House, answers

from mcp_orchestrator.backends.builtin_compared import shown_compared
from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.agent_routes import AgentRoute
from mcp_orchestrator.model.delegation import ChangedFile, Changes

pytestmark = pytest.mark.anyio


async def house(tmp_path, mode=AgentMode.WRITE):
    made = House(tmp_path, Agent("one", answers("mine")), Agent("two"))
    made.delegations.configure(made.agents, made.rules, [AgentRoute("r", ("one", "two"), compare=2)])
    delegation = await made.begin(mode=mode, workspace=str(tmp_path))
    await made.ended(delegation)
    return made, delegation.kept


async def test_each_run_is_shown_with_its_end_and_its_changes(tmp_path):
    made, kept = await house(tmp_path)
    made.places.changed = Changes((ChangedFile("a.txt", "update", 1, 1),))
    shown = await shown_compared(made.delegations, kept)
    first = shown["compared"][0]
    assert (first["agent"], first["status"], first["text"], first["chosen"]) == ("one", "completed", "mine", False)
    assert first["changes"]["files"][0]["path"] == "a.txt"
    assert "changes" not in shown


async def test_the_changes_of_the_chosen_one_are_those_of_the_whole(tmp_path):
    made, kept = await house(tmp_path)
    made.places.changed = Changes((ChangedFile("a.txt", "update"),))
    kept = replace(kept, chosen=list(kept.compared)[1])
    shown = await shown_compared(made.delegations, kept)
    assert [line["chosen"] for line in shown["compared"]] == [False, True]
    assert shown["changes"]["files"]


async def test_what_only_read_has_no_changes(tmp_path):
    made, kept = await house(tmp_path, AgentMode.READ)
    shown = await shown_compared(made.delegations, kept)
    assert len(shown["compared"]) == 2
    assert not any("changes" in line for line in shown["compared"])


async def test_what_is_not_begun_is_queued_and_never_will_be_when_the_run_is_over(tmp_path):
    made, kept = await house(tmp_path)
    unknown = replace(kept, compared={"nobody": "one"})
    for ended, word in ((None, "queued"), (kept.ended, "cancelled")):
        shown = await shown_compared(made.delegations, replace(unknown, ended=ended))
        assert shown["compared"] == [{"run": "nobody", "agent": "one", "status": word}]
