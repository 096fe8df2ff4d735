"""The lines between us and an agent, and the end of a turn that was cut off."""

import anyio
import pytest
from agent_kit import Played, place

from mcp_orchestrator.backends.agent_link import AgentLink, cut_off, listed, record, whole, words_of
from mcp_orchestrator.model.agent import AgentKind, AgentUsage, EndStatus, TroubleKind

pytestmark = pytest.mark.anyio


@pytest.fixture
async def link(reaper, tmp_path):
    """Makes a link to an agent that plays: `await link(steps)`; its frames are in `frames`."""
    made = []

    async def make(steps):
        agent = Played(tmp_path, AgentKind.CLI, steps)
        one = AgentLink(agent.spec, reaper, lambda frame, _raw: one.answered(frame.get("id"), frame))
        one.warnings = []
        one.on_warning = lambda warned, raw: one.warnings.append((warned, raw))
        await one.process.start(agent.spec.command, place(tmp_path))
        made.append(one)
        return one

    yield make
    for one in made:
        await one.process.stop()


async def test_an_answer_finds_its_request(link):
    one = await link([["read", "first"], ["read", "second"], {"id": "b"}, {"id": "a"}])
    found = {}

    async def ask(key, word):
        found[key] = await one.request(key, {"id": key, "word": word})

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a", "first")
            tasks.start_soon(ask, "b", "second")
    assert found == {"a": {"id": "a"}, "b": {"id": "b"}}


async def test_the_end_of_the_process_answers_what_waits(link):
    one = await link(["read", ["exit", 3]])
    with anyio.fail_after(10):
        assert await one.request("a", {"id": "a"}) is None
    assert "3" in one.process.why


async def test_lines_that_are_no_objects_are_told_with_what_they_were(link):
    one = await link([["write", "Loading..."], "read", {"id": "a"}])
    with anyio.fail_after(10):
        await one.request("a", {"id": "a"})
    ((warned, raw),) = one.warnings
    assert (warned.kind, raw) == ("protocol", b"Loading...")
    assert "Loading..." in warned.text


async def test_questions_are_withdrawn_one_by_one_or_all_at_once(link):
    one = await link([])
    ended, begun = [], anyio.Event()

    async def question(name):
        try:
            if name == "c":
                begun.set()
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    for name in "abc":
        one.question(name, question(name))
    with anyio.fail_after(10):
        await begun.wait()
        one.withdraw("b")
        one.withdraw("nobody's")
        await anyio.lowlevel.checkpoint()
        assert ended == ["b"]
        await one.settle()
    assert sorted(ended) == ["a", "b", "c"]


SENT, INTERRUPTED, CLOSED = "sent", "interrupted", "closed"


@pytest.mark.parametrize(
    ("known", "judged"),
    [
        ({SENT}, (EndStatus.UNKNOWN, TroubleKind.CRASH, False)),
        (set(), (EndStatus.FAILED, TroubleKind.CRASH, True)),
        ({SENT, INTERRUPTED}, (EndStatus.CANCELLED, None, False)),
        ({SENT, INTERRUPTED, CLOSED}, (EndStatus.CANCELLED, None, False)),
        ({SENT, CLOSED}, (EndStatus.UNKNOWN, None, False)),
    ],
)
async def test_a_turn_that_was_cut_off_is_judged_by_what_is_known(link, known, judged):
    one = await link([["error", "out of memory"], ["exit", 0]])
    with anyio.fail_after(10):
        await one.process.ended.wait()
    usage = AgentUsage(input_tokens=7)
    flags = {name: name in known for name in (SENT, INTERRUPTED, CLOSED)}
    ended = cut_off(one.process, **flags, text="So far.", usage=usage)
    assert (ended.status, ended.trouble, ended.retryable) == judged
    assert "exit code 0" in ended.evidence
    assert "out of memory" in ended.evidence
    assert ended.usage == (usage if SENT in known else AgentUsage())


@pytest.mark.parametrize(
    ("value", "count"), [(3, 3), (3.7, 3), (0, 0), (-1, None), (True, None), ("3", None), (None, None)]
)
def test_a_count_is_a_number_that_is_not_negative(value, count):
    assert whole(value) == count


def test_what_has_another_shape_is_as_if_it_were_not_there():
    assert (record([1]), listed({"a": 1}), listed([1, {"a": 1}]), words_of(3)) == ({}, [], [{"a": 1}], "")
