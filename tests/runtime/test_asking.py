"""A modern client is asked by the result of its request; the backend's call waits and is never repeated."""

import anyio
import pytest
from engines import Ear, FakeBackend, spec, tool_call, whole

from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import ClientFace, Era, Principal
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind
from mcp_orchestrator.model.snapshot import TransportKind

pytestmark = pytest.mark.anyio
ABLE = ClientFace(Era.MODERN, "2026-07-28", {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
FORM = Question("elicitation/create", {"message": "Your name?", "requestedSchema": {"type": "object"}})


def asks(*questions):
    """A backend that puts these questions at once and answers with their answers."""

    async def play(_invocation, talk):
        got = []

        async def one(question):
            answer = await talk.ask(question)
            got.append(answer.result if answer.result is not None else answer.message)

        async with anyio.create_task_group() as group:
            for question in questions:
                group.start_soon(one, question)
        return Completed(encode({"content": [], "got": got}), Era.LEGACY)

    return play


async def engine(made):
    made.engine._sealer = AesGcmSealer(new_key())
    return made


async def first(made, *, client=ABLE, **arguments):
    outcome = await made.gateway.start(tool_call("one__echo", client, **arguments), Ear()).outcome()
    return decode(outcome.result)


def retry(state, responses, *, client=ABLE, principal=None, name="one__echo", **arguments):
    call = tool_call(name, client, **arguments)
    call.params |= {"inputResponses": responses, "requestState": state}
    if principal is not None:
        call.principal = principal
    return call


async def again(made, state, responses, **changes):
    return await made.gateway.start(retry(state, responses, **changes), Ear()).outcome()


async def test_a_legacy_backends_question_reaches_a_modern_client_and_its_answer_the_same_call(tmp_path):
    backend = FakeBackend("one", play=asks(FORM))
    async with whole(tmp_path, backend) as made:
        await engine(made)
        shown = await first(made)
        assert shown["resultType"] == "input_required"
        assert shown["inputRequests"] == {"q1": {"method": FORM.method, "params": FORM.params}}
        outcome = await again(made, shown["requestState"], {"q1": {"action": "accept", "content": {"name": "Ada"}}})
        assert decode(outcome.result)["got"] == [{"action": "accept", "content": {"name": "Ada"}}]
        assert sum(len(session.invocations) for session in backend.sessions) == 1


async def test_questions_asked_together_are_shown_together_and_may_be_answered_in_parts(tmp_path):
    roots = Question("roots/list", {})
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM, roots))) as made:
        await engine(made)
        shown = await first(made)
        assert set(shown["inputRequests"]) == {"q1", "q2"}
        rest = decode((await again(made, shown["requestState"], {"q2": {"roots": []}})).result)
        assert set(rest["inputRequests"]) == {"q1"}
        assert rest["requestState"] != shown["requestState"]
        outcome = await again(made, rest["requestState"], {"q1": {"action": "decline"}})
        assert decode(outcome.result)["got"] == [{"roots": []}, {"action": "decline"}]


async def test_several_rounds_go_on_in_the_same_call(tmp_path):
    async def play(_invocation, talk):
        names = [(await talk.ask(FORM)).result["content"]["n"] for _ in range(3)]
        return Completed(encode({"names": names}), Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=play)) as made:
        await engine(made)
        shown = await first(made)
        for number in range(3):
            key = next(iter(shown["inputRequests"]))
            answer = {key: {"action": "accept", "content": {"n": number}}}
            shown = decode((await again(made, shown["requestState"], answer)).result)
        assert shown == {"names": [0, 1, 2]}


@pytest.mark.parametrize(
    "change",
    [{"principal": Principal("local:eve")}, {"a": 2}, {"name": "one__other"}],
    ids=["another principal", "other arguments", "another tool"],
)
async def test_a_state_is_refused_for_anything_but_the_call_it_was_made_for(tmp_path, change):
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        shown = await first(made, a=1)
        outcome = await again(made, shown["requestState"], {"q1": {"action": "accept"}}, **{"a": 1, **change})
        assert isinstance(outcome, Failed)
        assert (outcome.kind, outcome.code) == (FailureKind.INVALID, -32602)
        right = await again(made, shown["requestState"], {"q1": {"action": "cancel"}}, a=1)
        assert isinstance(right, Completed)


@pytest.mark.parametrize("state", ["", "nonsense", 7, None])
async def test_a_state_that_is_not_ours_is_refused(tmp_path, state):
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        outcome = await again(made, state if state is not None else {}, {})
        assert "Invalid requestState" in outcome.message


async def test_a_state_is_good_for_one_round_only(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        shown = await first(made)
        answer = {"q1": {"action": "accept", "content": {}}}
        assert isinstance(await again(made, shown["requestState"], answer), Completed)
        assert "used already" in (await again(made, shown["requestState"], answer)).message


async def test_an_answer_of_the_wrong_shape_is_refused_and_the_question_stays_open(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        shown = await first(made)
        for wrong in ({"q1": "yes"}, {"q1": {"action": "maybe"}}, {"q1": {"action": "accept", "content": 7}}):
            outcome = await again(made, shown["requestState"], wrong)
            assert "inputResponses.q1" in outcome.message
        assert isinstance(await again(made, shown["requestState"], {"q1": {"action": "accept"}}), Completed)


async def test_a_question_nobody_answers_in_time_is_dismissed_and_the_outcome_waits_for_the_client(tmp_path):
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        made.engine.question_expiry = 0.05
        shown = await first(made)
        run = next(iter(made.engine.runs.values()))
        with anyio.fail_after(2):
            await run._task
        assert made.journal.events[-1].data["status"] == "completed"
        late = await again(made, shown["requestState"], {"q1": {"action": "accept"}})
        assert decode(late.result)["got"] == [{"action": "cancel"}]


async def test_a_client_that_did_not_declare_the_ability_is_never_asked(tmp_path):
    able = ClientFace(Era.MODERN, "2026-07-28", {"sampling": {}})
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        assert (await first(made, client=able))["got"] == [{"action": "decline"}]


async def test_modern_clients_that_can_be_asked_share_no_legacy_stream_while_they_call(tmp_path):
    backend = FakeBackend("one", play=asks(FORM))
    async with whole(tmp_path, backend) as made:
        await engine(made)
        shown = [await first(made, who=number) for number in range(3)]
        used = [session for session in backend.sessions if session.invocations]
        assert len(used) == 3
        assert all(session.opening.exclusive for session in used)
        assert used[0].opening.capabilities == ABLE.capabilities
        for number, asked in enumerate(shown):
            content = {"who": number}
            answer = {"q1": {"action": "accept", "content": content}}
            outcome = await again(made, asked["requestState"], answer, who=number)
            assert decode(outcome.result)["got"][0]["content"] == content
        await first(made, who=9)
        assert len([session for session in backend.sessions if session.invocations]) == 3


async def test_over_http_a_legacy_session_may_be_shared_because_its_questions_say_whose_they_are(tmp_path):
    backend = FakeBackend("one", play=asks(FORM))
    async with whole(tmp_path, backend, specs=[spec("one", transport=TransportKind.HTTP)]) as made:
        await engine(made)
        for number in range(3):
            await first(made, who=number)
        assert len(backend.sessions) == 1


async def test_the_state_of_a_modern_backend_is_sealed_on_its_way_and_comes_back_to_it_untouched(tmp_path):
    needed = {"resultType": "input_required", "inputRequests": {"k": {"method": "roots/list"}}, "requestState": "S-1"}

    async def play(invocation, _talk):
        if "inputResponses" in invocation.params:
            return Completed(encode({"resultType": "complete", "got": invocation.params}), Era.MODERN)
        return Completed(encode(needed), Era.MODERN)

    async with whole(tmp_path, FakeBackend("one", speaks=(Era.MODERN,), play=play)) as made:
        await engine(made)
        shown = await first(made)
        assert shown["inputRequests"] == needed["inputRequests"]
        assert shown["requestState"] != "S-1"
        answer = {"k": {"roots": []}}
        for _ in range(2):  # nothing is kept here: any gateway with the key can go on
            got = decode((await again(made, shown["requestState"], answer)).result)["got"]
            assert got["requestState"] == "S-1"
            assert got["inputResponses"] == answer
        assert "Invalid" in (await again(made, shown["requestState"], answer, other=1)).message


async def test_a_gateway_that_is_full_of_parked_calls_declines_instead_of_hanging(tmp_path, monkeypatch):
    monkeypatch.setattr("mcp_orchestrator.runtime.parking.MOST_OF_ONE", 1)
    async with whole(tmp_path, FakeBackend("one", play=asks(FORM))) as made:
        await engine(made)
        assert "requestState" in await first(made, who=1)
        assert (await first(made, who=2))["got"] == [{"action": "decline"}]
        assert len(made.engine.lot) == 1


async def test_a_parked_call_whose_backend_dies_says_so_to_the_client_that_comes_back(tmp_path):
    backend = FakeBackend("one", play=asks(FORM))
    async with whole(tmp_path, backend) as made:
        await engine(made)
        shown = await first(made)
        next(session for session in backend.sessions if session.invocations).die()
        await anyio.wait_all_tasks_blocked()
        outcome = await again(made, shown["requestState"], {"q1": {"action": "accept"}})
        assert outcome.kind is FailureKind.DIED


async def test_addresses_that_a_legacy_server_wants_visited_first_are_shown_and_then_the_call_is_made(tmp_path):
    first_visit = {"mode": "url", "url": "https://login.example", "message": "Sign in", "elicitationId": "e1"}
    calls = []

    async def play(_invocation, _talk):
        calls.append(1)
        if len(calls) % 2:
            return Failed(FailureKind.BACKEND_ERROR, -32042, "Sign in first", {"elicitations": [first_visit]})
        return Completed(b'{"content":[]}', Era.LEGACY)

    async with whole(tmp_path, FakeBackend("one", play=play)) as made:
        await engine(made)
        shown = await first(made)
        params = {key: value for key, value in first_visit.items() if key != "elicitationId"}
        assert shown["inputRequests"] == {"q1": {"method": "elicitation/create", "params": params}}
        assert isinstance(await again(made, shown["requestState"], {"q1": {"action": "accept"}}), Completed)
        shown = await first(made)
        refused = await again(made, shown["requestState"], {"q1": {"action": "decline"}})
        assert refused.message == "Sign in first"
        assert len(calls) == 3
