"""What a server says outside of calls reaches those it concerns, and nobody else."""

import pytest

from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.plugin_api import LogLine, Notice, View
from mcp_orchestrator.runtime.announcements import Announcements
from mcp_orchestrator.runtime.lives import LifeKey
from mcp_orchestrator.runtime.outside import Addressees, Outside

COMPLETE = "notifications/elicitation/complete"
LOG = LogLine({"level": "error", "data": 1}, common=True)
VENDOR = Notice("notifications/vendor/thing", {"a": 1}, common=True)
SHARED, OWN = LifeKey(Era.LEGACY), LifeKey(Era.LEGACY, "s1")


class House:
    """Two legacy sessions, of which the second sees nothing of `two`, and a modern listener."""

    def __init__(self, own=()):
        self.announcements, self.addressees = Announcements(), Addressees()
        self.heard = {"s1": [], "s2": [], "modern": []}
        self.announcements.watch(View(Era.LEGACY), "s1", self.heard["s1"].append)
        self.announcements.watch(View(Era.LEGACY, "narrow"), "s2", self.heard["s2"].append)
        self.announcements.watch(View(Era.MODERN), None, self.heard["modern"].append)
        self.announcements.watch(View(Era.MODERN), "listen-1", self.heard["modern"].append)
        sees = lambda view, backend: view.profile is None or backend == "one"  # noqa: E731 - one line
        self.outside = Outside(self.announcements, self.addressees, sees, lambda *pair: pair in own)

    def told(self):
        return {name: len(heard) for name, heard in self.heard.items() if heard}


def call(session="s1"):
    face = ClientFace(Era.LEGACY, "2025-11-25", session=session)
    return Call(CallKind.TOOL, "tools/call", "t", {"name": "t"}, {}, face)


@pytest.mark.parametrize("event", [LOG, VENDOR])
@pytest.mark.parametrize(
    ("backend", "own", "told"),
    [
        ("one", (), {"s1": 1, "s2": 1}),
        ("two", (), {"s1": 1}),
        ("one", [("one", "s1")], {"s2": 1}),
        ("one", [("two", "s1")], {"s1": 1, "s2": 1}),
    ],
)
def test_what_a_shared_session_says_reaches_legacy_clients_that_see_the_server_and_have_no_session_of_their_own(
    event, backend, own, told
):
    house = House(own)
    house.outside.heard(backend, SHARED, event)
    assert house.told() == told


@pytest.mark.parametrize("event", [LogLine({"data": 1}), Notice("notifications/vendor/thing", {})])
def test_what_may_be_about_somebodys_call_reaches_nobody_on_a_shared_session_and_its_owner_on_an_own_one(event):
    house = House()
    house.outside.heard("one", SHARED, event)
    assert house.told() == {}
    house.outside.heard("one", OWN, event)
    assert house.heard["s1"] == [event]


def test_on_a_clients_own_session_nothing_is_for_everybody():
    house = House()
    house.outside.heard("one", OWN, LOG)
    assert house.heard["s1"] == [LogLine(LOG.params)]
    assert house.told() == {"s1": 1}


@pytest.mark.parametrize("event", [LOG, VENDOR, Notice(COMPLETE, {"elicitationId": "e"}, common=True)])
def test_a_modern_server_has_no_such_messages(event):
    house = House()
    house.outside.heard("one", LifeKey(Era.MODERN), event)
    assert house.told() == {}


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/roots/list_changed"])
@pytest.mark.parametrize("key", [SHARED, OWN])
def test_what_only_clients_say_is_not_passed_on(method, key):
    house = House()
    house.outside.heard("one", key, Notice(method, {}, common=True))
    assert house.told() == {}


def test_that_an_address_was_dealt_with_is_told_once_to_whoever_was_asked_to_visit_it():
    house, url = House(), {"mode": "url", "url": "https://a.example", "elicitationId": "e"}
    assert house.addressees.put(call("s2"), "one", Question("elicitation/create", url), "m").params == url
    done = Notice(COMPLETE, {"elicitationId": "e"}, common=True)
    house.outside.heard("two", SHARED, done)
    assert house.told() == {}, "another server knows the id by chance, or guessed it"
    house.outside.heard("one", SHARED, done)
    house.outside.heard("one", SHARED, done)
    assert house.heard["s2"] == [done]
    assert house.told() == {"s2": 1}


def test_addresses_of_a_refused_call_are_known_too():
    house = House()
    data = {"elicitations": [{"mode": "url", "elicitationId": "e"}, 7, {"elicitationId": 1}]}
    house.addressees.refused(call(), "one", Failed(FailureKind.BACKEND_ERROR, -32042, "visit", data))
    house.addressees.refused(call(), "one", Failed(FailureKind.BACKEND_ERROR, -32042, "visit", {"elicitations": 1}))
    house.addressees.refused(call(), "one", Failed(FailureKind.BACKEND_ERROR, -32602, "x", {"elicitations": [{}]}))
    house.outside.heard("one", SHARED, Notice(COMPLETE, {"elicitationId": "e"}))
    house.outside.heard("one", SHARED, Notice(COMPLETE, {"elicitationId": ["e"]}))
    assert house.told() == {"s1": 1}


def test_a_question_without_an_id_gets_one_and_a_form_none():
    addressees = Addressees()
    url = Question("elicitation/create", {"mode": "url", "url": "https://a.example"})
    assert addressees.put(call(), "one", url, "m").params["elicitationId"] == "m"
    assert addressees.done("one", "m") == "s1"
    form = Question("elicitation/create", {"message": "?"})
    assert addressees.put(call(), "one", form, "n") == form
    assert addressees.done("one", "n") is None


def test_modern_clients_are_not_noted_and_the_memory_is_bounded():
    addressees = Addressees(most=3)
    for number in range(5):
        addressees.asked("one", {"elicitationId": str(number)}, "s1")
    addressees.asked("one", {"elicitationId": "modern"}, None)
    assert [addressees.done("one", str(number)) for number in range(5)] == [None, None, "s1", "s1", "s1"]
    assert addressees.done("one", "modern") is None
