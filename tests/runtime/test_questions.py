"""A modern backend asks a legacy client through us, in rounds."""

from dataclasses import replace

import pytest
from engines import MODERN, Ear, FakeBackend, asking, whole

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.runtime.questions import MAX_ROUNDS, rounds, with_elicitation_id

pytestmark = pytest.mark.anyio
NEEDED = {
    "resultType": "input_required",
    "requestState": "S-1",
    "inputRequests": {"q": {"method": "elicitation/create", "params": {"message": "?"}}},
}


async def ask_once(invocation, _talk):
    if "inputResponses" not in invocation.params:
        return Completed(encode(NEEDED), Era.MODERN)
    return Completed(encode({"resultType": "complete", "got": invocation.params}), Era.MODERN)


async def test_a_legacy_client_is_asked_in_place_and_the_call_goes_on_with_its_answers(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=ask_once)) as made:
        ear = Ear(Answer({"action": "accept", "content": {"a": 1}}))
        got = decode((await made.call("one__echo", asking("s"), ear)).result)["got"]
        assert got["inputResponses"] == {"q": {"action": "accept", "content": {"a": 1}}}
        assert got["requestState"] == "S-1"


async def test_a_modern_client_gets_the_questions_untouched(tmp_path):
    able = replace(MODERN, capabilities={"elicitation": {}})
    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=ask_once)) as made:
        assert decode((await made.call("one__echo", able)).result) == NEEDED


async def test_a_modern_client_is_spared_questions_that_it_did_not_declare(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=ask_once)) as made:
        got = decode((await made.call("one__echo", MODERN)).result)["got"]
        assert got["inputResponses"] == {"q": {"action": "decline"}}


async def test_a_server_that_only_wants_to_be_called_again_is_given_time(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.runtime.questions.PAUSE", 0.001)
    calls = []

    async def later(invocation, _talk):
        calls.append(invocation.params)
        done = {"resultType": "complete"} if len(calls) == 4 else {"resultType": "input_required", "requestState": "S"}
        return Completed(encode(done), Era.MODERN)

    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=later)) as made:
        assert isinstance(await made.call("one__echo", asking("s")), Completed)
    assert [sorted(params) for params in calls] == [["arguments", "name"], *[["arguments", "name", "requestState"]] * 3]


@pytest.mark.parametrize("more", [{}, {"inputRequests": {}}, {"inputRequests": None, "requestState": None}])
async def test_a_server_that_wants_nothing_and_gives_no_state_is_not_called_again(tmp_path, more):
    calls = []

    async def nothing(invocation, _talk):
        calls.append(invocation.params)
        return Completed(encode({"resultType": "input_required", **more}), Era.MODERN)

    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=nothing)) as made:
        outcome = await made.call("one__echo", asking("s"))
    assert (outcome.kind, len(calls)) == (FailureKind.BAD_ANSWER, 1)


async def test_a_backend_that_never_stops_asking_is_stopped(tmp_path):
    async def again(_invocation, _talk):
        return Completed(encode(NEEDED), Era.MODERN)

    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=again)) as made:
        outcome = await made.call("one__echo", asking("s"), Ear(Answer({"action": "accept"})))
        assert isinstance(outcome, Failed)
        assert str(MAX_ROUNDS) in outcome.message


async def test_an_error_as_answer_ends_the_call(tmp_path):
    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=ask_once)) as made:
        outcome = await made.call("one__echo", asking("s"), Ear(Answer(None, -32000, "went away")))
        assert isinstance(outcome, Failed)
        assert "went away" in outcome.message


def test_a_url_question_gets_the_id_that_legacy_clients_require():
    question = Question("elicitation/create", {"mode": "url", "url": "https://a.example"})
    assert with_elicitation_id(question, "e1").params["elicitationId"] == "e1"
    given = Question("elicitation/create", {"mode": "url", "elicitationId": "own"})
    assert with_elicitation_id(given, "e1").params["elicitationId"] == "own"
    form = Question("elicitation/create", {"message": "?"})
    assert with_elicitation_id(form, "e1") is form


async def test_a_failure_after_the_first_round_is_never_called_repeatable(tmp_path):
    async def then_fails(invocation, _talk):
        if "inputResponses" not in invocation.params:
            return Completed(encode(NEEDED), Era.MODERN)
        return Failed(FailureKind.UNAVAILABLE, -32603, "gone", retryable=True)

    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=then_fails)) as made:
        outcome = await made.call("one__echo", asking("s"), Ear(Answer({"action": "accept"})))
        assert (outcome.message, outcome.retryable) == ("gone", False)


async def test_only_requests_that_may_ask_are_answered_with_questions():
    able = replace(MODERN, capabilities={"elicitation": {}})
    put = []

    class Talk:
        async def ask(self, question):
            put.append(question)
            return Answer({"action": "decline"})

    class Session:
        era = Era.MODERN

        async def invoke(self, invocation, talk):
            return await ask_once(invocation, talk)

    for method, asked_in_place in (("tools/call", 0), ("prompts/get", 0), ("completion/complete", 1)):
        put.clear()
        outcome = await rounds(Talk(), Session(), Invocation("r", method, {}, {}, able))
        assert len(put) == asked_in_place
        assert (decode(outcome.result) == NEEDED) is not bool(asked_in_place)


VISIT = {"mode": "url", "url": "https://login.example", "message": "Sign in", "elicitationId": "e1"}
ABLE = replace(MODERN, capabilities={"elicitation": {"url": {}}})


class Asked:
    """A talk that answers with `action` and keeps what it was asked."""

    def __init__(self, action="accept"):
        self.action = action
        self.put = []

    async def ask(self, question):
        self.put.append(question.params)
        return Answer({"action": self.action})


class Wants:
    """A session whose server wants addresses visited the first `times` times."""

    def __init__(self, times, era=Era.LEGACY, data=None):
        self.era = era
        self.calls = 0
        self._times = times
        self._data = {"elicitations": [VISIT]} if data is None else data

    async def invoke(self, _invocation, _talk):
        self.calls += 1
        if self.calls > self._times:
            return Completed(b'{"content":[]}', self.era)
        return Failed(FailureKind.BACKEND_ERROR, -32042, "Sign in first", self._data)


def called(talk, session, client):
    return rounds(talk, session, Invocation("r", "tools/call", {"name": "t"}, {}, client))


@pytest.mark.parametrize("era", [Era.LEGACY, Era.MODERN])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_modern_client_is_shown_addresses_until_the_server_is_content(era, times):
    """Also where a modern server sends the error, as those of mcp 2.3.0 do: nobody may in that era."""
    talk, session = Asked(), Wants(times, era)
    assert isinstance(await called(talk, session, ABLE), Completed)
    assert talk.put == [VISIT] * times
    assert session.calls == times + 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_modern_client_that_refuses_never_gets_the_code_of_the_other_era(action):
    outcome = await called(Asked(action), session := Wants(9), ABLE)
    assert (outcome.code, outcome.message, outcome.data) == (-1, "Sign in first", {"elicitations": [VISIT]})
    assert session.calls == 1


async def test_a_modern_client_that_cannot_be_sent_anywhere_hears_which_ability_it_lacks():
    outcome = await called(Asked("decline"), Wants(9), MODERN)
    assert outcome.code == -32021
    assert outcome.data["requiredCapabilities"] == {"elicitation": {"url": {}}}
    assert outcome.data["elicitations"] == [VISIT]


async def test_somebody_else_may_visit_addresses_for_a_client_that_cannot():
    for client in (MODERN, asking("s")):
        talk = Asked()
        assert isinstance(await called(talk, Wants(1), client), Completed)
        assert talk.put == [VISIT]
    refused = await called(Asked("decline"), Wants(1), asking("s"))
    assert (refused.code, refused.message) == (-32042, "Sign in first")  # its own era's word


async def test_a_legacy_client_that_can_visit_addresses_gets_the_error_as_it_is():
    able = replace(asking("s"), capabilities={"elicitation": {"url": {}}})
    outcome = await called(talk := Asked(), session := Wants(1), able)
    assert (outcome.code, outcome.data) == (-32042, {"elicitations": [VISIT]})
    assert (talk.put, session.calls) == ([], 1)


async def test_a_server_that_never_stops_wanting_addresses_is_stopped():
    outcome = await called(talk := Asked(), Wants(99), ABLE)
    assert outcome.kind is FailureKind.BAD_ANSWER
    assert len(talk.put) == MAX_ROUNDS


@pytest.mark.parametrize("data", [{}, [], {"elicitations": "x"}, {"elicitations": [7]}])
async def test_an_error_that_names_no_address_still_gets_another_code(data):
    outcome = await called(Asked(), session := Wants(1, data=data), ABLE)
    assert (outcome.code, session.calls) == (-1, 1)
    legacy = await called(Asked(), Wants(1, data=data), asking("s"))
    assert legacy.code == -32042
