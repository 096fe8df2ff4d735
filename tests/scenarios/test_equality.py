"""Through the gateway equals direct, in both directions, but for what the specification assigns to each hop."""

import asyncio
import contextlib
import json
import sys

import anyio
import pytest
from gateway_kit import MODERN, PREFIX, legacy, modern, piped, serving, until
from http_raw import raw_server
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mirror import PROGRAM, Mirror

pytestmark = pytest.mark.anyio

HOP = {PREFIX + key for key in ("protocolVersion", "clientInfo", "clientCapabilities", "logLevel")} | {"progressToken"}
BACKENDS = {f"{way}{era}": (way, era) for way in ("stdio", "http") for era in ("modern", "legacy")}
CLIENTS = ("modern", "legacy", "piped_modern", "piped_legacy")
PAIRS = [(client, backend) for client in CLIENTS for backend in BACKENDS]
MANY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**60, 2**200)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(texts, values, max_size=5)
kinds = st.sampled_from(["text", "image", "resource_link", "x-hologram"])
blocks = st.builds(lambda kind, more: {**more, "type": kind}, kinds, objects)
results = st.fixed_dictionaries(
    {"content": st.lists(blocks, max_size=3)},
    optional={
        "structuredContent": objects,
        "isError": st.booleans(),
        "_meta": objects,
        "x-unknown": values,
        "nothing": st.none(),
    },
)
errors = st.fixed_dictionaries(
    {"code": st.integers(-40_000, 40_000).filter(bool), "message": texts}, optional={"data": values}
)
metas = st.dictionaries(texts.map(lambda text: f"com.example/{text}"), values, max_size=3) | st.just(
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1", "baggage": "k=v"}
)
deep = json.loads("[" * 150 + "]" * 150)


def http_script(mirror):
    """The mirror behind an HTTP server of its era."""

    async def script(request):
        if request.method != "POST":
            return request.reply(b"", status="405 Method Not Allowed")
        message = request.json
        if ("mcp-method" in request.headers) != (mirror.era == "modern"):
            return request.reply(b"", status="400 Bad Request")
        *notes, answer = mirror.messages(message) or [None]
        if answer is None and "id" not in message:
            return request.reply(b"", status="202 Accepted")
        if answer is None:
            word = message["params"]["arguments"]["word"]
            await request.gone()
            mirror.heard[f"closed {word}"] += 1
            return None
        if not notes:
            return request.reply(json.dumps(answer).encode())
        request.start_events()
        for note in [*notes, answer]:
            request.event(note)
        return request.end_events()

    return script


class Everything:
    """One gateway over four mirrors, and a client of each kind."""

    def __init__(self):
        self.mirrors = {name: Mirror(era, name) for name, (_, era) in BACKENDS.items()}
        self.clients = {}
        self.keys = iter(range(10, 10**9))

    async def ask(self, client, method, params, meta):
        """The response without its id, and the notifications before it."""
        talker, key = self.clients[client], next(self.keys)
        if not client.startswith("piped"):
            response, notes = await talker.ask(method, params, key=key, meta=meta)
        else:
            own = talker.meta if client == "piped_modern" else {}
            response = await talker.ask(method, {**params, "_meta": {**own, **meta}}, key)
            notes = [talker.heard.get_nowait() for _ in range(talker.heard.qsize())]
        assert response.pop("id") == key
        assert response.pop("jsonrpc") == "2.0"
        return response, notes

    async def until_waits(self, backend, word):
        """The server has the call."""
        with anyio.fail_after(10):
            if BACKENDS[backend][0] == "http":
                await until(lambda: f"cancelled {word}" in self.mirrors[backend].waiting.values())
            else:
                await self._until_shown(backend, f"waits {word}")

    async def until_heard(self, backend, word):
        """The server knows that nobody waits for the call any more."""
        way, era = BACKENDS[backend]
        with anyio.fail_after(10):
            if way == "stdio":
                await self._until_shown(backend, f"cancelled {word}")
            else:
                await until(
                    lambda: self.mirrors[backend].heard[f"{'closed' if era == 'modern' else 'cancelled'} {word}"] == 1
                )

    async def _until_shown(self, backend, what):
        """Ask a mirror in another process what it heard, through every client: each may have a process of its own."""
        while True:
            for client in CLIENTS:
                shown, _ = await self.ask(client, f"{backend}/heard", {}, {})
                if shown["result"]["heard"].get(what):
                    assert shown["result"]["heard"][what] == 1
                    return

    def direct(self, backend, method, params, meta):
        """What the mirror itself answers to the same request."""
        stamp = {PREFIX + "protocolVersion": MODERN} if BACKENDS[backend][1] == "modern" else {}
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": {**meta, **stamp}}}
        response = json.loads(json.dumps(self.mirrors[backend].messages(message)[-1]))
        del response["jsonrpc"], response["id"]
        return response


@pytest.fixture(scope="module")
async def everything(tmp_path_factory):
    made = Everything()
    async with contextlib.AsyncExitStack() as stack:
        servers = {}
        for name, (way, era) in BACKENDS.items():
            if way == "stdio":
                servers[name] = {"command": sys.executable, "args": [PROGRAM, era, name]}
            else:
                raw = await stack.enter_async_context(raw_server(http_script(made.mirrors[name])))
                servers[name] = {"type": "http", "url": raw.url}
        gateway = await stack.enter_async_context(serving(tmp_path_factory.mktemp("equality"), servers))
        made.clients["modern"] = await stack.enter_async_context(modern(gateway.url))
        made.clients["legacy"] = await stack.enter_async_context(legacy(gateway.url))
        for name in ("piped_modern", "piped_legacy"):
            talker = made.clients[name] = await stack.enter_async_context(piped(gateway.config))
            talker.meta = dict(made.clients["modern"]._meta)
        await made.clients["piped_legacy"].initialize()
        for client in ("legacy", "piped_legacy"):
            await made.ask(client, "logging/setLevel", {"level": "debug"}, {})
        for client, backend in PAIRS:  # everything is started once
            await made.ask(client, "tools/call", {"name": f"{backend}__show", "arguments": {}}, {})
        yield made


def hopless(response):
    """A response without what belongs to one hop: `_meta` keys in what the mirror shows, and the era's own members."""
    result = response.get("result")
    if not isinstance(result, dict):
        return response
    result = {key: value for key, value in result.items() if key not in ("resultType", "ttlMs", "cacheScope")}
    if "params" in result:
        shown = dict(result["params"])
        meta = {key: value for key, value in shown.pop("_meta", {}).items() if key not in HOP}
        result["params"] = {**shown, "_meta": meta} if meta else shown
    return {"result": result}


@pytest.mark.parametrize(("client", "backend"), PAIRS)
@MANY
@given(result=results)
@example(
    result={
        "content": [{"type": "text", "text": "\u2028\x00 \U0001f600", "deep": deep}],
        "structuredContent": {"big": 2**64, "f": 1e300},
    }
)
@example(result={"content": [], "_meta": {"a": None, "b": {"c": [None, {}]}}, "isError": True, "x": -(2**70), "": ""})
async def test_a_result_is_the_same(everything, client, backend, result):
    params = {"name": f"{backend}__give", "arguments": {"result": result}}
    through, notes = await everything.ask(client, "tools/call", params, {})
    direct = {"result": result}
    same_era = client.removeprefix("piped_") == BACKENDS[backend][1]
    assert (through if same_era else hopless(through)) == direct
    assert notes == []


URLS_FIRST = -32042


@pytest.mark.parametrize(("client", "backend"), PAIRS)
@MANY
@given(error=errors)
@example(error={"code": -32042, "message": "sign in", "data": {"elicitations": [{"mode": "url", "url": "https://x"}]}})
@example(error={"code": -32002, "message": "", "data": None})
@example(error={"code": 7, "message": "m", "data": {"deep": deep, "big": 2**70}})
async def test_an_error_is_the_same(everything, client, backend, error):
    params = {"name": f"{backend}__fail", "arguments": {"error": error}}
    through, _ = await everything.ask(client, "tools/call", params, {})
    if error["code"] == URLS_FIRST and "modern" in client:
        # The modern era has no such error, whoever sends it: it would be a question, but this client cannot be asked.
        missing = {"requiredCapabilities": {"elicitation": {"url": {}}}}
        error = {**error, "code": -32021, "data": {**error["data"], **missing}}
    assert through == {"error": error}


@pytest.mark.parametrize(("client", "backend"), PAIRS)
@MANY
@given(arguments=objects, meta=metas, more=st.dictionaries(texts.map(lambda text: f"x-{text}"), values, max_size=3))
async def test_what_is_asked_arrives_as_it_was_asked(  # noqa: PLR0917
    everything, client, backend, arguments, meta, more
):
    params = {**more, "name": "show", "arguments": arguments}
    direct = everything.direct(backend, "tools/call", params, meta)
    through, _ = await everything.ask(client, "tools/call", {**params, "name": f"{backend}__show"}, meta)
    assert hopless(through) == hopless(direct)


@pytest.mark.parametrize(("client", "backend"), PAIRS)
@MANY
@given(word=st.sampled_from(["query", "a/b", "Ünïcode", "tasks.get"]), params=objects, meta=metas)
async def test_a_method_that_nobody_knows_passes_with_its_parameters(  # noqa: PLR0917
    everything, client, backend, word, params, meta
):
    if not word.isascii() and "modern" in (client, backend.removeprefix("http")):
        word = "query"  # cannot stand in the Mcp-Method header
    params = {key: value for key, value in params.items() if key not in ("name", "uri", "_meta")}
    direct = everything.direct(backend, f"{backend}/{word}", params, meta)
    through, _ = await everything.ask(client, f"{backend}/{word}", params, meta)
    assert hopless(through) == hopless(direct)


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_a_method_that_names_a_tool_finds_its_server_and_names_it_as_that_server_does(
    everything, client, backend
):
    through, _ = await everything.ask(
        client, "who/knows", {"name": f"{backend}__show", "ref": {"name": "x"}, "a": 1}, {}
    )
    shown = hopless(through)["result"]
    assert shown["method"] == "who/knows"
    assert shown["params"] == {"name": "show", "ref": {"name": "x"}, "a": 1}


NOTES = [
    ["notifications/progress", {"progress": 1, "total": 3, "message": "ä", "x-more": [None]}],
    ["notifications/message", {"level": "warning", "data": {"deep": [1, None]}, "logger": "l", "x-more": 2**70}],
    ["notifications/progress", {"progress": 2.5, "_meta": {"a": None}}],
    ["notifications/x-extension", {"anything": {"at": ["all"]}}],
    ["notifications/message", {"level": "error", "data": "last"}],
    ["notifications/progress", {"progress": 3}],
]


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_what_a_server_says_during_a_call_arrives_as_it_was_said_and_in_order(everything, client, backend):
    meta = {"progressToken": "tok", PREFIX + "logLevel": "debug"} if "modern" in client else {"progressToken": 7}
    params = {"name": f"{backend}__talk", "arguments": {"say": NOTES * 3}}
    _, notes = await everything.ask(client, "tools/call", params, meta)
    expected = [
        {
            "jsonrpc": "2.0",
            "method": kind,
            "params": {**body, **({"progressToken": meta["progressToken"]} if "progress" in body else {})},
        }
        for kind, body in NOTES * 3
    ]
    assert notes == expected


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_a_call_that_the_client_gives_up_is_given_up_at_the_server(everything, client, backend):
    word = f"{client}-{backend}"
    mirror, talker, key = everything.mirrors[backend], everything.clients[client], next(everything.keys)
    params = {"name": f"{backend}__wait", "arguments": {"word": word}}
    if client.startswith("piped"):
        own = {"_meta": talker.meta} if client == "piped_modern" else {}
        waiting = talker.start("tools/call", {**params, **own}, key)
    else:
        waiting = asyncio.ensure_future(talker.ask("tools/call", params, key=key))
    await everything.until_waits(backend, word)
    if client == "modern":
        waiting.cancel()  # a closed connection is how this era gives up
    elif client == "legacy":
        await talker.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": key}})
    else:
        talker.send({"method": "notifications/cancelled", "params": {"requestId": key}})
    await everything.until_heard(backend, word)
    if client == "legacy":
        response, _ = await waiting
        assert response["error"]["code"] == -32800
    waiting.cancel()
    if BACKENDS[backend][0] == "http":
        assert mirror.heard[f"closed {word}"] == 1
