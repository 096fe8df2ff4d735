"""The house of sessions: who is found, who must go, and in which order."""

import asyncio
import json

import anyio
import pytest
from fake_gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners.envelopes import Response
from mcp_orchestrator.listeners.sessions import LegacySession, Sessions, new_session_id
from mcp_orchestrator.model.call import ANONYMOUS, ClientFace, Era, Principal
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.plugin_api import ListChanged, LogLine, Notice, ResourceUpdated, View

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Channel:
    def __init__(self, *, open_=True):
        self.messages = []
        self.open = open_
        self.sent = asyncio.Event()

    def send(self, message):
        if self.open:
            self.messages.append(message)
            self.sent.set()
        return self.open


def session(gateway, profile=None, principal=ANONYMOUS, **capabilities):
    face = ClientFace(Era.LEGACY, "2025-11-25", capabilities, None, new_session_id())
    made = LegacySession(face, View(Era.LEGACY, profile, principal), gateway, 5.0)
    made.begin()
    return made


def test_a_session_is_found_only_where_and_by_whom_it_was_opened():
    gateway, sessions = FakeGateway(), Sessions(10, 100, Clock())
    mine = session(gateway, "reviewer", Principal("a"))
    sessions.add(mine)
    assert sessions.find(mine.id, "reviewer", Principal("a")) is mine
    assert sessions.find(mine.id, None, Principal("a")) is None
    assert sessions.find(mine.id, "reviewer", Principal("b")) is None
    assert sessions.find("other", "reviewer", Principal("a")) is None


@given(st.lists(st.tuples(st.sampled_from(["add", "use", "reap", "busy"]), st.integers(0, 4), st.integers(0, 40))))
def test_only_idle_sessions_are_reaped_and_all_of_them(steps):
    gateway, clock = FakeGateway(), Clock()
    sessions = Sessions(1000, 50, clock)
    alive = []
    for what, which, passing in steps:
        clock.now += passing
        if what == "add":
            alive.append(session(gateway))
            sessions.add(alive[-1])
        elif alive and what in ("use", "busy"):
            chosen = alive[which % len(alive)]
            sessions.touch(chosen)
            chosen.busy = int(what == "busy")
        elif what == "reap":
            sessions.reap()
            alive = [one for one in alive if one.busy or one.seen > clock.now - 50]
            # A busy session in front may hide nobody behind it.
            assert set(sessions) == set(alive)
    assert len(sessions) == len(alive)


def test_the_longest_idle_session_makes_room_but_not_a_busy_or_fresh_one():
    gateway, clock = FakeGateway(), Clock()
    sessions = Sessions(2, 1000, clock)
    busy, idle = session(gateway), session(gateway)
    busy.busy = 1
    for one in (busy, idle):
        sessions.add(one)
    clock.now = 59
    assert not sessions.has_room()
    clock.now = 61
    assert sessions.has_room()
    assert list(sessions) == [busy]
    assert gateway.closed == [idle.id]
    third = session(gateway)
    third.busy = 1
    sessions.add(third)
    clock.now = 500
    assert not sessions.has_room()


def test_events_wait_once_each_until_there_is_a_stream():
    gateway = FakeGateway()
    mine, stream = session(gateway), Channel()
    for number in range(1000):
        gateway.tell(ListChanged(OfferKind.TOOL))
        gateway.tell(ResourceUpdated({"uri": f"u:{number}"}))
    mine.attach(stream)
    assert len(stream.messages) == 256
    mine.detach(Channel())
    assert mine.main is stream
    mine.detach(stream)
    gateway.tell(ListChanged(OfferKind.TOOL))
    assert len(stream.messages) == 256


async def test_a_question_finds_another_way_when_its_reply_is_gone():
    mine = session(FakeGateway(), roots={})
    main = Channel()
    question = Question("roots/list", {})
    assert await mine.ask_on(Channel(open_=False), question) is None
    mine.attach(main)
    with anyio.fail_after(5):
        asking = asyncio.create_task(mine.ask_on(Channel(open_=False), question))
        await main.sent.wait()
        mine.answered(Response("q9", {}, None))
        mine.answered(Response("q2", {"roots": []}, None))
        mine.answered(Response("q2", {"late": 1}, None))
        assert await asking == Answer({"roots": []})


async def test_an_asker_that_no_longer_needs_the_answer_says_so():
    mine, reply = session(FakeGateway(), roots={}), Channel()
    with anyio.fail_after(5):
        asking = asyncio.create_task(mine.ask_on(reply, Question("roots/list", {})))
        await reply.sent.wait()
        asking.cancel()
        await asyncio.wait((asking,))
    assert b"notifications/cancelled" in reply.messages[1]


def test_closing_is_done_once():
    gateway = FakeGateway()
    mine = session(gateway)
    mine.close("a")
    mine.close("b")
    assert gateway.closed == [mine.id]
    assert gateway.watchers == []


def test_a_stream_that_was_lost_still_gets_what_would_be_lost_otherwise():
    gateway = FakeGateway()
    mine, stream = session(gateway), Channel()
    mine.notify("notifications/vendor", {"n": 1})
    mine.attach(stream)
    mine.detach(stream)
    mine.notify("notifications/vendor", {"n": 2})
    gateway.tell(ListChanged(OfferKind.TOOL))
    assert [b'"n":2' in message for message in stream.messages] == [True]
    mine.close("over")
    mine.notify("notifications/vendor", {"n": 3})
    mine.let_go(1)
    assert len(stream.messages) == 1


def test_log_messages_outside_of_calls_obey_the_level():
    mine, main = session(FakeGateway()), Channel()
    mine.attach(main)
    mine.log_level = "error"
    mine.notify("notifications/message", {"level": "info"})
    mine.notify("notifications/message", {"level": "alert"})
    assert len(main.messages) == 1


def test_log_messages_of_no_call_and_no_one_client_reach_a_client_that_set_no_level_from_info_on():
    gateway = FakeGateway()
    mine, main = session(gateway), Channel()
    mine.attach(main)
    for level in ("debug", "info"):
        gateway.tell(LogLine({"level": level}, common=True))
    assert [json.loads(message)["params"] for message in main.messages] == [{"level": "info"}]
    gateway.tell(LogLine({"level": "debug"}))
    assert len(main.messages) == 2, "a session of its own says what its server chose to say"
    mine.log_level = "debug"
    gateway.tell(LogLine({"level": "debug"}, common=True))
    assert len(main.messages) == 3


def test_that_an_address_was_dealt_with_waits_for_a_stream_and_other_notices_do_not():
    gateway = FakeGateway()
    mine, stream = session(gateway), Channel()
    for ident in ("e", "e", "f"):
        gateway.tell(Notice("notifications/elicitation/complete", {"elicitationId": ident}))
    gateway.tell(Notice("notifications/vendor/thing", {}))
    mine.attach(stream)
    assert [json.loads(message)["params"] for message in stream.messages] == [
        {"elicitationId": "e"}, {"elicitationId": "f"},
    ]  # fmt: skip
    gateway.tell(Notice("notifications/vendor/thing", {"a": 1}))
    assert json.loads(stream.messages[-1]) == {
        "jsonrpc": "2.0", "method": "notifications/vendor/thing", "params": {"a": 1},
    }  # fmt: skip
    mine.detach(stream)
    gateway.tell(Notice("notifications/elicitation/complete", {"elicitationId": "g"}))
    assert len(stream.messages) == 4, "a client that lost its stream gets it when it resumes it"
