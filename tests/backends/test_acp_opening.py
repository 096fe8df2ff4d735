"""How a session is put into the mode and given the model that are wanted, whichever way an agent offers them."""

import anyio
import pytest
from acp_kit import MODES, Kit, call

from mcp_orchestrator.backends import acp
from mcp_orchestrator.backends.acp_opening import until_next_minute
from mcp_orchestrator.model.agent import AgentMode, EndStatus, Started, Text, ToolUse, TroubleKind, Turn, Warned
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk

pytestmark = pytest.mark.anyio
GO = Turn("Go.")
DONE = [["say", "Done."], ["end", "end_turn"]]


def select(name, current, *values, **more):
    options = [{"value": value, "name": value} for value in values]
    return {"id": name, "category": name, "type": "select", "currentValue": current, "options": options, **more}


@pytest.fixture
def kit(tmp_path, reaper):
    return Kit(tmp_path, reaper)


async def opened(kit, new, mode=AgentMode.WRITE, **more):
    """What was told of a turn in a session that is opened so."""
    talk = FakeAgentTalk()
    async with kit.session(
        {"new": new, "prompts": [DONE]} | more.pop("script", {}), kit.opening(mode=mode), **more
    ) as session:
        await session.turn(GO, talk)
    return talk


def said(talk):
    return [warned.text for warned in talk.of(Warned)]


async def test_reading_takes_a_mode_whose_name_says_so_and_says_where_there_is_none(kit):
    assert said(await opened(kit, MODES, AgentMode.READ)) == []
    assert [one["modeId"] for one in kit.parameters("session/set_mode")] == ["plan"]
    talk = await opened(kit, {}, AgentMode.READ)
    assert said(talk) == ["it has no mode that only reads: what it changes in its workspace is thrown away instead"]


async def test_reading_goes_before_a_mode_of_the_configuration(kit):
    settings = {"profile": "gemini-cli", "mode": "yolo"}
    await opened(kit, MODES, AgentMode.READ, settings=settings)
    await opened(kit, MODES, AgentMode.WRITE, settings=settings)
    assert [one["modeId"] for one in kit.parameters("session/set_mode")] == ["plan", "yolo"]


async def test_a_mode_that_it_is_in_already_is_not_set(kit):
    await opened(kit, MODES, settings={"profile": "gemini-cli"})
    assert kit.parameters("session/set_mode") == []


async def test_a_mode_may_be_an_option_of_the_session_or_an_address(kit):
    await opened(kit, {"configOptions": [select("mode", "build", "build", "plan")]}, AgentMode.READ)
    wanted = {"configId": "mode", "value": "plan"}
    assert [wanted.items() <= one.items() for one in kit.parameters("session/set_config_option")] == [True]
    address = "https://agents.example/modes#plan"
    await opened(kit, {"modes": {"currentModeId": "x", "availableModes": [{"id": address}]}}, AgentMode.READ)
    assert kit.parameters("session/set_mode")[-1]["modeId"] == address


async def test_a_mode_that_is_refused_is_said(kit):
    script = {"set_mode": {"error": {"code": -32603, "message": "not today"}}}
    assert said(await opened(kit, MODES, settings={"mode": "yolo"}, script=script)) == [
        "it refused the mode 'yolo': not today"
    ]


async def test_a_model_is_chosen_the_way_it_is_offered(kit):
    grouped = {"options": [{"group": "g", "options": [{"value": "big"}, {"value": "small"}]}]}
    talk = await opened(kit, {"configOptions": [select("model", "small") | grouped]}, model="big")
    assert kit.parameters("session/set_config_option")[0]["value"] == "big"
    assert talk.of(Started)[0].model == "big"
    models = {"currentModelId": "small", "availableModels": [{"modelId": "big"}, {"modelId": "small"}]}
    talk = await opened(kit, {"models": models}, model="big")
    assert kit.parameters("session/set_model")[0]["modelId"] == "big"
    assert talk.of(Started)[0].model == "big"
    talk = await opened(kit, {"models": models})
    assert talk.of(Started)[0].model == "small"


async def test_a_model_that_cannot_be_chosen_is_said(kit):
    talk = await opened(kit, {}, model="big")
    assert said(talk) == ["it does not let its model be chosen, so it does not use 'big'"]
    assert talk.of(Started)[0].model is None


async def test_options_of_the_configuration_are_set(kit):
    settings = {"config": {"effort": "low", "web": True}}
    await opened(kit, {}, settings=settings)
    given = [(one["configId"], one["value"], one.get("type")) for one in kit.parameters("session/set_config_option")]
    assert given == [("effort", "low", None), ("web", True, "boolean")]


async def test_a_session_without_an_id_is_refused(kit):
    with anyio.fail_after(30), pytest.raises(BackendError, match="without an id"):
        await kit.backend({"new": {"sessionId": ""}}).open(kit.opening())


async def test_old_turns_that_are_told_after_the_session_was_taken_up_are_no_part_of_the_new_one(kit):
    """gemini-cli 0.61.0 answers `session/load` before it has told the old turns again (2026-11-24)."""
    late = [{"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "old"}}, call(title="old")]
    script = {"initialize": {"agentCapabilities": {"loadSession": True}}, "load_late": late, "prompts": [DONE]}
    talk = FakeAgentTalk()
    async with kit.session(script, kit.opening(resume="s")) as session:
        ended = await session.turn(GO, talk)
    assert ended.text == "Done."
    assert [text.text for text in talk.of(Text)] == ["Done.", "Done."]
    assert talk.of(ToolUse) == []


@pytest.mark.parametrize(
    ("made", "now", "wait"),
    [
        (60.0, 119.0, 1.5),  # the same minute: until it is over
        (59.9, 60.0, 0.0),  # another one
        (0.0, 600.0, 0.0),
        (90.0, 90.0, 30.5),
    ],
)
async def test_the_minute_in_which_a_session_was_made_is_known_to_be_over(made, now, wait):
    assert until_next_minute(made, now) == wait


async def test_a_session_that_would_be_erased_is_taken_up_by_its_first_turn_only(kit, monkeypatch):
    """gemini-cli 0.61.0 erases a session that is loaded in the minute in which it was made (2026-11-24)."""
    monkeypatch.setattr(acp, "until_next_minute", lambda _made, _now: 0.05)
    late = [{"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "old"}}]
    script = {"initialize": {"agentCapabilities": {"loadSession": True}}, "load_late": late, "prompts": [DONE]}
    talk = FakeAgentTalk()
    async with kit.session(script, kit.opening(resume="s"), settings={"profile": "gemini-cli"}) as session:
        assert session.native == "s"
        assert kit.parameters("session/load") == []
        ended = await session.turn(GO, talk)
    assert ended.text == "Done."
    assert talk.bindings == [("s", None)]
    assert [one["sessionId"] for one in kit.parameters("session/load")] == ["s"]
    script["load"] = {"error": {"code": -32603, "message": "No previous sessions found for this project"}}
    async with kit.session(script, kit.opening(resume="s"), settings={"profile": "gemini-cli"}) as session:
        ended = await session.turn(GO, FakeAgentTalk())
    assert (ended.status, ended.trouble) == (EndStatus.FAILED, TroubleKind.SESSION)
    assert "No previous sessions found" in ended.message


async def test_a_session_that_waits_to_be_taken_up_can_be_closed(kit, monkeypatch):
    monkeypatch.setattr(acp, "until_next_minute", lambda _made, _now: 3600.0)
    talk = FakeAgentTalk()
    script = {"initialize": {"agentCapabilities": {"loadSession": True}}}
    opening = kit.opening(resume="s")
    async with (
        kit.session(script, opening, settings={"profile": "gemini-cli"}) as session,
        anyio.create_task_group() as tasks,
    ):

        async def stop():
            await talk.until(lambda: talk.bindings)
            await session.close()

        tasks.start_soon(stop)
        ended = await session.turn(GO, talk)
    assert ended.status is EndStatus.FAILED
    assert kit.parameters("session/load") == []
