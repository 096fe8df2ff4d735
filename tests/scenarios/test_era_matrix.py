"""Every kind of question through the real program: both eras of client and server, stdio and HTTP on both sides."""

import asyncio
import base64
import contextlib
import itertools
import sys
from pathlib import Path

import pytest
from askable import ALL, LegacyHttp, LegacyPipe, RefusalError, found, http_client, modern_http, modern_pipe, pipe_to
from gateway_kit import serving, write_config
from run_suite import free_ports, running

pytestmark = pytest.mark.anyio

PEERS = Path(__file__).resolve().parents[1] / "peers"
CLIENTS = ("modern-http", "modern-pipe", "legacy-http", "legacy-pipe")
MODERN_CLIENTS = CLIENTS[:2]
BACKENDS = ("modern-http", "modern-pipe", "legacy-http", "legacy-pipe")
LEGACY_BACKENDS = BACKENDS[2:]
TAGS = itertools.count(1)

COLORS = [{"const": "#F00", "title": "Red"}, {"const": "#0F0", "title": "Green"}]
FIELDS = {
    "string": ({"type": "string", "title": "Name", "minLength": 1, "maxLength": 50, "pattern": "^.+$"}, "Ada"),
    "default": ({"type": "string", "description": "Who?", "default": "nobody"}, "somebody"),
    "email": ({"type": "string", "format": "email"}, "ada@example.com"),
    "uri": ({"type": "string", "format": "uri"}, "https://example.com/ä"),
    "date": ({"type": "string", "format": "date"}, "2026-11-24"),
    "date-time": ({"type": "string", "format": "date-time"}, "2026-11-24T12:00:00Z"),
    "number": ({"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}, 0.25),
    "integer": ({"type": "integer", "minimum": 0, "maximum": 2**53, "default": 7}, 2**53),
    "boolean": ({"type": "boolean", "default": True}, False),
    "enum": ({"type": "string", "enum": ["red", "green"], "default": "red"}, "green"),
    "enum-names": ({"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]}, "g"),
    "titled": ({"type": "string", "oneOf": COLORS, "default": "#F00"}, "#0F0"),
    "multi": ({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "enum": ["a", "b"]}}, ["b"]),
    "titled-multi": ({"type": "array", "items": {"anyOf": COLORS}, "default": ["#F00"]}, ["#F00", "#0F0"]),
}
"""Every kind of form field of 2025-11-25 and 2026-07-28 (client/elicitation, requested schema), and an answer."""


def form(kind="string", message="Please", **more):
    schema = {"type": "object", "properties": {"field": FIELDS[kind][0]}, "required": ["field"]}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema, **more}}


URL = {
    "method": "elicitation/create",
    "params": {"mode": "url", "url": "https://login.example/a?b=c", "message": "Sign in", "elicitationId": "e-1"},
}
SAID = {"role": "user", "content": {"type": "text", "text": "The capital of France?"}}
SAMPLING = {
    "method": "sampling/createMessage",
    "params": {
        "messages": [SAID],
        "systemPrompt": "Be brief.",
        "includeContext": "thisServer",
        "temperature": 0.5,
        "maxTokens": 100,
        "stopSequences": ["\n"],
        "metadata": {"vendor": {"x": None}},
        "modelPreferences": {"hints": [{"name": "small"}], "costPriority": 0.3, "speedPriority": 0.8},
    },
}
WEATHER = {"name": "weather", "description": "", "inputSchema": {"type": "object", "properties": {}}}
TOOLED = {
    "method": "sampling/createMessage",
    "params": {"messages": [SAID], "maxTokens": 50, "tools": [WEATHER], "toolChoice": {"mode": "required"}},
}
TOOL_USE = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}}
ROOTS = {"method": "roots/list", "params": {}}

PLAIN = {
    **{f"form-{kind}": (form(kind), {"action": "accept", "content": {"field": answer}}) for kind, (_, answer) in FIELDS.items()},
    "form-mode": (form(mode="form"), {"action": "accept", "content": {"field": "x"}}),
    "form-meta": (form(_meta={"vendor/x": 1}), {"action": "accept", "content": {"field": "x"}, "_meta": {"y": None}}),
    "url": (URL, {"action": "accept"}),
    "sampling": (
        SAMPLING,
        {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "m", "stopReason": "endTurn"},
    ),
    "sampling-tools": (
        TOOLED,
        {"role": "assistant", "content": [TOOL_USE], "model": "m", "stopReason": "toolUse"},
    ),
    "roots": (ROOTS, {"roots": [{"uri": "file:///home/ada", "name": "Home"}]}),
}  # fmt: skip
"""Question and acceptance, by kind."""


# -- the parts: two servers over HTTP, two over stdio, one gateway for each way in -------------------------------------


def asker(era, *more):
    return [sys.executable, str(PEERS / "asker.py"), *more, "--era", era]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Where servers write down each execution."""
    return tmp_path_factory.mktemp("asker") / "executions"


@pytest.fixture(scope="module")
def servers(log, tmp_path_factory):
    directory = tmp_path_factory.mktemp("http")
    blocks = {}
    with contextlib.ExitStack() as stack:
        for era, port in zip(("modern", "legacy"), free_ports(2), strict=True):
            argv = asker(era, f"http:{port}", "--log", str(log))
            url = f"http://127.0.0.1:{port}/mcp"
            stack.enter_context(running(argv, url, directory / f"{era}.log"))
            blocks[f"{era}-http"] = {"type": "http", "url": url}
            command, *arguments = asker(era, "stdio", "--log", str(log))
            blocks[f"{era}-pipe"] = {"command": command, "args": arguments}
        yield blocks


@pytest.fixture(scope="module")
async def gateway(servers, tmp_path_factory, anyio_backend):
    async with serving(tmp_path_factory.mktemp("gateway"), servers) as made:
        yield made


@pytest.fixture(scope="module")
async def clients(gateway, servers, tmp_path_factory, anyio_backend):
    """One client of each kind, each with everything it can be asked."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client())
        made = {"modern-http": modern_http(http, gateway.url)}
        configs = [write_config(tmp_path_factory.mktemp("pipe"), servers) for _ in range(2)]
        pipes = [await stack.enter_async_context(pipe_to(config)) for config in configs]
        made["modern-pipe"] = modern_pipe(pipes[0])
        made["legacy-http"] = await LegacyHttp(http, gateway.url).open()
        stack.push_async_callback(made["legacy-http"].close)
        made["legacy-pipe"] = await LegacyPipe(pipes[1]).open()
        stack.push_async_callback(made["legacy-pipe"].close)
        yield made


def pairs(clients, backends):
    return pytest.mark.parametrize(("client", "backend"), list(itertools.product(clients, backends)))


def script(*rounds, **more):
    """Arguments of `ask`, with a tag of their own."""
    return {"tag": f"t{next(TAGS)}", "rounds": [list(asked) for asked in rounds], **more}


def executed(log, arguments):
    return log.read_text().splitlines().count(arguments["tag"])


def as_seen(question, client, backend):
    """What this client sees of a question: the id of an elicitation is between legacy peers, everything else the same."""
    params = dict(question["params"])
    if client.startswith("modern") or backend.startswith("modern"):
        params.pop("elicitationId", None)
    return question["method"], params


# -- one question ------------------------------------------------------------------------------------------------------


@pairs(CLIENTS, BACKENDS)
@pytest.mark.parametrize("kind", PLAIN)
async def test_a_question_reaches_the_client_untouched_and_its_answer_the_call(clients, log, client, backend, kind):
    question, answer = PLAIN[kind]
    arguments = script([question])
    response, asked = await clients[client].call(f"{backend}__ask", arguments, lambda *_: answer)
    if kind == "url" and client.startswith("legacy") and backend.startswith("modern"):
        assert asked[0][1].pop("elicitationId")  # minted for it
    assert asked == [as_seen(question, client, backend)]
    assert found(response)["answers"] == [[answer]]
    assert executed(log, arguments) == 1


@pairs(CLIENTS, BACKENDS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
@pytest.mark.parametrize("question", [form(), URL], ids=["form", "url"])
async def test_a_person_may_decline_or_dismiss(*, clients, log, client, backend, question, action):
    arguments = script([question])
    response, _ = await clients[client].call(f"{backend}__ask", arguments, lambda *_: {"action": action})
    assert found(response)["answers"] == [[{"action": action}]]
    assert executed(log, arguments) == 1


@pairs(CLIENTS[2:], BACKENDS[:2])
async def test_a_modern_servers_addresses_get_the_ids_that_legacy_clients_need(clients, client, backend):
    _, asked = await clients[client].call(f"{backend}__ask", script([URL, URL]), lambda *_: {"action": "accept"})
    assert len({params["elicitationId"] for _, params in asked}) == 2


@pairs(CLIENTS[2:], BACKENDS)
async def test_a_refused_sampling_is_an_error_that_the_server_or_the_caller_sees(clients, client, backend):
    def refuse(_method, _params):
        raise RefusalError(-1, "User rejected sampling request")

    response, _ = await clients[client].call(f"{backend}__ask", script([SAMPLING]), refuse)
    if backend in LEGACY_BACKENDS:
        error = {"code": -1, "message": "User rejected sampling request"}
        assert found(response)["answers"] == [[{"error": error}]]
    else:  # a modern server hears nothing of it: the request is simply not made again
        assert response["error"]["code"] == -1
        assert "User rejected sampling request" in response["error"]["message"]


@pairs(CLIENTS, BACKENDS)
async def test_several_questions_at_once_and_several_rounds(clients, log, client, backend):
    together = [form("enum", "a"), SAMPLING, ROOTS, form("boolean", "b"), URL]
    later = [[form(message=f"round {number}")] for number in range(3)]
    arguments = script(together, *later)

    def answer(method, params):
        match method:
            case "roots/list":
                return {"roots": []}
            case "sampling/createMessage":
                return {"role": "assistant", "content": {"type": "text", "text": "x"}, "model": "m"}
            case _:
                return {"action": "accept", "content": {"field": params["message"]}}

    response, asked = await clients[client].call(f"{backend}__ask", arguments, answer)
    assert len(asked) == 8
    first, *rounds = found(response)["answers"]
    assert [one.get("content", {}).get("field") if "action" in one else None for one in first] == [
        "a", None, None, "b", "Sign in",
    ]  # fmt: skip
    assert [one["content"]["field"] for (one,) in rounds] == ["round 0", "round 1", "round 2"]
    assert executed(log, arguments) == 1


@pairs(CLIENTS, BACKENDS)
@pytest.mark.parametrize("method", ["prompts/get", "resources/read"])
async def test_prompts_and_resources_may_ask_too(clients, client, backend, method):
    way = backend.replace("pipe", "stdio")
    params = (
        {"name": f"{backend}__ask", "arguments": {"tag": "p"}}
        if method == "prompts/get"
        else {"uri": f"ask://{way}/one"}
    )
    answer = {"action": "accept", "content": {"name": "Ada"}}
    response, asked = await clients[client].carry(method, params, lambda *_: answer)
    assert len(asked) == 1
    assert found(response)["answers"] == [[answer]]


@pairs(CLIENTS, BACKENDS)
async def test_a_server_that_wants_an_address_visited_first(clients, log, client, backend):
    arguments = {"tag": f"t{next(TAGS)}", "url": "https://login.example/"}
    response, asked = await clients[client].call(f"{backend}__visit", arguments, lambda *_: {"action": "accept"})
    if client in CLIENTS[2:] and backend in LEGACY_BACKENDS:  # they understand each other
        assert response["error"]["code"] == -32042
        ((elicitation),) = response["error"]["data"]["elicitations"]
        assert elicitation["url"] == "https://login.example/"
        return
    ((_, params),) = asked
    assert (params["mode"], params["url"]) == ("url", "https://login.example/")
    assert "result" in response
    assert executed(log, arguments) == (
        2 if backend in LEGACY_BACKENDS else 1
    )  # the first has said that it did nothing


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_an_address_that_nobody_visits_ends_the_call_with_the_servers_words(clients, log, client, backend):
    arguments = {"tag": f"t{next(TAGS)}", "url": "https://login.example/"}
    response, _ = await clients[client].call(f"{backend}__visit", arguments, lambda *_: {"action": "decline"})
    assert response["error"]["message"] == "Sign in first"
    assert response["error"]["code"] == -1  # as a user who rejects; -32042 is not for the modern era
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_addresses_are_shown_until_the_server_is_content_and_to_nobody_who_cannot_visit(
    clients, log, client, backend
):
    one, arguments = clients[client], {"tag": f"t{next(TAGS)}", "url": "https://login.example/", "times": 3}
    response, asked = await one.call(f"{backend}__visit", arguments, lambda *_: {"action": "accept"})
    assert "result" in response
    assert (len(asked), executed(log, arguments)) == (3, 4)
    before, one._capabilities = one._capabilities, {"elicitation": {}}
    response = await one.first(f"{backend}__visit", {**arguments, "tag": f"t{next(TAGS)}"})
    one._capabilities = before
    assert response["error"]["code"] == -32021
    assert response["error"]["data"]["requiredCapabilities"] == {"elicitation": {"url": {}}}


# -- answers that are not what was asked for ---------------------------------------------------------------------------


def state_of(response):
    result = response["result"]
    assert result["resultType"] == "input_required"
    return result["inputRequests"], result["requestState"]


def accepted(requests, **content):
    return {key: {"action": "accept", "content": content} for key in requests}


@pairs(MODERN_CLIENTS, BACKENDS)
async def test_what_is_not_answered_is_asked_again(clients, log, client, backend):
    one, arguments = clients[client], script([form(message=name) for name in "abc"])
    requests, state = state_of(await one.first(f"{backend}__ask", arguments))
    some, *rest = requests
    given = {**accepted([some], field=0), "nobody-asked": {"action": "decline"}}
    missing, state = state_of(await one.first(f"{backend}__ask", arguments, inputResponses=given, requestState=state))
    assert sorted(missing) == sorted(rest)
    missing, state = state_of(await one.first(f"{backend}__ask", arguments, inputResponses={}, requestState=state))
    assert sorted(missing) == sorted(rest)
    given = accepted(missing, field=1)
    done = await one.first(f"{backend}__ask", arguments, inputResponses=given, requestState=state)
    assert [answer["content"]["field"] for answer in found(done)["answers"][0]] == [0, 1, 1]
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_answers_of_the_wrong_shape_are_refused_and_the_call_goes_on_waiting(clients, log, client, backend):
    one, arguments = clients[client], script([form(), SAMPLING, ROOTS])
    requests, state = state_of(await one.first(f"{backend}__ask", arguments))
    keys = {asked["method"]: key for key, asked in requests.items()}
    elicited, sampled, rooted = (keys[asked["method"]] for asked in (form(), SAMPLING, ROOTS))
    for wrong in (
        "yes",
        [],
        {elicited: "yes"},
        {elicited: {"action": "maybe"}},
        {elicited: {"content": {}}},
        {elicited: {"action": "accept", "content": []}},
        {sampled: {"text": "Paris"}},
        {sampled: None},
        {rooted: {"roots": "none"}},
        {rooted: {}},
        {elicited: {"action": "accept", "content": {}}, rooted: 7},
    ):
        response = await one.first(f"{backend}__ask", arguments, inputResponses=wrong, requestState=state)
        assert response["error"]["code"] == -32602, wrong
    given = {elicited: {"action": "decline"}, sampled: PLAIN["sampling"][1], rooted: {"roots": []}}
    done = await one.first(f"{backend}__ask", arguments, inputResponses=given, requestState=state)
    assert found(done)["answers"] == [[{"action": "decline"}, PLAIN["sampling"][1], {"roots": []}]]
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, BACKENDS)
async def test_a_state_opens_for_nothing_but_the_call_it_was_made_for(clients, log, client, backend):
    one, arguments, other = clients[client], script([form()]), script([form()])
    name = f"{backend}__ask"
    requests, state = state_of(await one.first(name, arguments))
    _, foreign = state_of(await one.first(name, other))
    given = accepted(requests, field="x")
    inside = base64.urlsafe_b64decode(state)
    flipped = [
        base64.urlsafe_b64encode(inside[:place] + bytes([inside[place] ^ 1]) + inside[place + 1 :]).decode()
        for place in (0, 11, 12, len(inside) // 2, len(inside) - 1)
    ]
    wrong = [*flipped, foreign, state[:-4], state + "AAAA", "", "nonsense", '{"round": 0}', 7, {}, "ä", "A" * 300_000]
    for sent in wrong:
        response = await one.first(name, arguments, inputResponses=given, requestState=sent)
        assert response["error"]["code"] == -32602, sent
        assert "requestState" in response["error"]["message"]
    elsewhere = next(known for known in BACKENDS if known != backend)
    for changed, others in ((name, other), (name, {**arguments, "more": 1}), (f"{elsewhere}__ask", arguments)):
        response = await one.first(changed, others, inputResponses=given, requestState=state)
        assert response["error"]["code"] == -32602
    assert executed(log, arguments) == 1
    done = await one.first(name, arguments, inputResponses=given, requestState=state)
    assert found(done)["answers"] == [[given[next(iter(given))]]]
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_a_state_of_a_waiting_call_is_good_once(clients, log, client, backend):
    one, arguments = clients[client], script([form(message="1")], [form(message="2")])
    name = f"{backend}__ask"
    requests, first = state_of(await one.first(name, arguments))
    again, second = state_of(
        await one.first(name, arguments, inputResponses=accepted(requests, field=1), requestState=first)
    )
    for _ in range(2):
        replayed = await one.first(name, arguments, inputResponses=accepted(again, field=9), requestState=first)
        assert "used already" in replayed["error"]["message"]
    done = await one.first(name, arguments, inputResponses=accepted(again, field=2), requestState=second)
    assert [one["content"]["field"] for (one,) in found(done)["answers"]] == [1, 2]
    replayed = await one.first(name, arguments, inputResponses=accepted(again, field=9), requestState=second)
    assert replayed["error"]["code"] == -32602
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_two_retries_at_once_answer_a_question_once(clients, log, client, backend):
    one, arguments = clients[client], script([form()])
    requests, state = state_of(await one.first(f"{backend}__ask", arguments))
    tries = [
        one.first(f"{backend}__ask", arguments, inputResponses=accepted(requests, field=n), requestState=state)
        for n in range(4)
    ]
    responses = await asyncio.gather(*tries)
    assert sum("result" in response for response in responses) == 1
    assert all("result" in r or r["error"]["code"] == -32602 for r in responses)
    assert executed(log, arguments) == 1


@pairs(MODERN_CLIENTS, LEGACY_BACKENDS)
async def test_answers_without_the_state_do_not_begin_the_call_anew(clients, log, client, backend):
    one, arguments = clients[client], script([form()])
    requests, _ = state_of(await one.first(f"{backend}__ask", arguments))
    lost = await one.first(f"{backend}__ask", arguments, inputResponses=accepted(requests, field="x"))
    assert lost["error"]["code"] == -32602
    assert executed(log, arguments) == 1


@pairs(CLIENTS, BACKENDS[:2])
async def test_a_modern_server_without_a_state_of_its_own_gets_none_back(clients, log, client, backend):
    arguments = script([form()], stateless=True)
    answer = {"action": "accept", "content": {"field": "x"}}
    response, _ = await clients[client].call(f"{backend}__ask", arguments, lambda *_: answer)
    assert found(response)["answers"] == [[answer]]
    assert found(response)["params"] == ["_meta", "arguments", "inputResponses", "name"]


@pairs(CLIENTS[2:], BACKENDS[:2])
async def test_a_modern_server_that_never_has_enough_is_stopped_for_a_legacy_client(clients, client, backend):
    arguments = script(*[[form(message=str(number))] for number in range(12)])
    answer = {"action": "accept", "content": {"field": "x"}}
    response, asked = await clients[client].call(f"{backend}__ask", arguments, lambda *_: answer)
    assert "more than 10 times" in response["error"]["message"]
    assert len(asked) == 10


# -- clients that cannot be asked, or cannot be asked that -------------------------------------------------------------

UNABLE = {
    "nothing": ({}, form(), {"action": "decline"}),
    "nothing, an address": ({}, URL, {"action": "decline"}),
    "nothing, roots": ({}, ROOTS, {"roots": []}),
    "nothing, sampling": ({}, SAMPLING, None),
    "forms only": ({"elicitation": {}}, URL, {"action": "decline"}),
    "addresses only": ({"elicitation": {"url": {}}}, form(), {"action": "decline"}),
    "sampling without tools": ({"sampling": {}}, TOOLED, None),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", UNABLE)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_client_is_never_asked_what_it_did_not_declare(*, gateway, clients, log, client, case, backend):
    abilities, question, declined = UNABLE[case]
    arguments = script([question])
    never = lambda *_: pytest.fail("asked")  # noqa: E731
    async with http_client() as http:
        if client.startswith("modern"):
            one = modern_http(http, gateway.url, capabilities=abilities) if client == "modern-http" else clients[client]
            before, one._capabilities = one._capabilities, abilities
            response, asked = await one.call(f"{backend}__ask", arguments, never)
            one._capabilities = before
        else:
            one = await LegacyHttp(http, gateway.url).open(abilities)
            response, asked = await one.call(f"{backend}__ask", arguments, never)
            await one.close()
    assert asked == []
    if declined is not None:
        assert found(response)["answers"] == [[declined]]
    elif backend in LEGACY_BACKENDS:
        assert found(response)["answers"][0][0]["error"]["code"] == -1
    else:
        assert response["error"]["code"] == -1
    assert executed(log, arguments) == 1


@pairs(CLIENTS, BACKENDS)
async def test_the_server_sees_what_this_client_can_be_asked(clients, client, backend):
    response, _ = await clients[client].call(f"{backend}__ask", script(), lambda *_: None)
    shared = backend == "legacy-http" and client.startswith("modern")
    if not shared:  # one session for many clients declares everything and declines for them what they cannot
        assert found(response)["capabilities"] == ALL
