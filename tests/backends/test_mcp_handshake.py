"""How a conversation begins in either era, and what is stamped on its requests."""

import pytest
from stdio_kit import LEGACY_CLIENT, MODERN_CLIENT, tool_call

from mcp_orchestrator.backends.mcp_handshake import (
    OWN_INFO,
    RpcError,
    discover,
    initialize,
    invocation_meta,
    possible_eras,
    supported_versions,
    wanted_era,
)
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, EraPolicy, TransportKind
from mcp_orchestrator.plugin_api import Opening

pytestmark = pytest.mark.anyio
PREFIX = "io.modelcontextprotocol/"
DISCOVERY = {
    "supportedVersions": ["2025-11-25", "2026-07-28"],
    "capabilities": {"tools": {}},
    "instructions": "Hi.",
    "_meta": {PREFIX + "serverInfo": {"name": "s"}},
}
INITIALIZED = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}}


class Server:
    """Answers requests in turn; an error is raised."""

    def __init__(self, *answers):
        self.answers, self.asked, self.notified = list(answers), [], []

    async def request(self, method, params):
        self.asked.append((method, params))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def notify(self, method, params):
        self.notified.append(method)


def unsupported(*versions):
    return RpcError(UNSUPPORTED_VERSION, "unsupported", {"supported": list(versions)})


async def test_a_modern_server_is_taken_at_its_word():
    server = Server(DISCOVERY)
    found = await discover(server.request, "s", client_info={"name": "me"}, capabilities={"roots": {}})
    assert (found.era, found.version, found.instructions) == (Era.MODERN, "2026-07-28", "Hi.")
    assert (found.server_info, found.capabilities) == ({"name": "s"}, {"tools": {}})
    meta = {"protocolVersion": "2026-07-28", "clientInfo": {"name": "me"}, "clientCapabilities": {"roots": {}}}
    assert server.asked == [("server/discover", {"_meta": {PREFIX + key: value for key, value in meta.items()}})]


async def test_a_version_in_common_is_worth_one_more_question():
    assert (await discover(Server(unsupported("2026-07-28"), DISCOVERY).request, "s")).version == "2026-07-28"
    server = Server(unsupported("2026-07-28"), unsupported("2026-07-28"))
    assert await discover(server.request, "s") is None
    assert len(server.asked) == 2


async def test_a_modern_server_with_no_version_in_common_is_refused():
    with pytest.raises(BackendError, match="speaks only 2031-01-01") as caught:
        await discover(Server(unsupported("2031-01-01")).request, "s")
    assert (caught.value.kind, caught.value.code) == (FailureKind.BACKEND_ERROR, UNSUPPORTED_VERSION)


@pytest.mark.parametrize(
    "answer",
    [
        RpcError(-32601, "Method not found"),
        RpcError(-32602, "Invalid request parameters"),
        RpcError(0, "?"),
        unsupported("2025-11-25", "2031-01-01"),
        unsupported(),
        RpcError(UNSUPPORTED_VERSION, "no data"),
        None,
        [],
        {},
        {"supportedVersions": "2026-07-28"},
        {"supportedVersions": ["2025-11-25"]},
    ],
)
async def test_anything_else_is_no_evidence_of_a_modern_server(answer):
    assert await discover(Server(answer).request, "s") is None


async def test_odd_members_of_a_discovery_read_as_absent():
    odd = {"supportedVersions": ["2026-07-28"], "capabilities": 7, "instructions": {}, "_meta": []}
    found = await discover(Server(odd).request, "s")
    assert (found.capabilities, found.instructions, found.server_info) == ({}, None, {})


async def test_initialize_offers_our_newest_version_and_confirms():
    server = Server(INITIALIZED)
    found = await initialize(server.request, server.notify, "s", capabilities={"roots": {}})
    assert (found.era, found.version, found.server_info) == (Era.LEGACY, "2025-06-18", {"name": "s"})
    params = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": OWN_INFO}
    assert server.asked == [("initialize", params)]
    assert server.notified == ["notifications/initialized"]


async def test_a_notification_may_be_sent_asynchronously():
    server, sent = Server(INITIALIZED), []

    async def notify(method, params):
        sent.append(method)

    await initialize(server.request, notify, "s")
    assert sent == ["notifications/initialized"]


@pytest.mark.parametrize(("wanted", "offered"), [("2025-03-26", "2025-03-26"), ("2026-07-28", "2025-11-25")])
async def test_the_clients_legacy_version_is_offered_first(wanted, offered):
    server = Server(INITIALIZED)
    await initialize(server.request, server.notify, "s", version=wanted)
    assert server.asked[0][1]["protocolVersion"] == offered


async def test_a_server_that_names_what_it_speaks_is_asked_once_more():
    server = Server(RpcError(-32602, "no", {"supported": ["2024-11-05"], "requested": "x"}), INITIALIZED)
    await initialize(server.request, server.notify, "s")
    assert [params["protocolVersion"] for _, params in server.asked] == ["2025-11-25", "2024-11-05"]


@pytest.mark.parametrize("code", [UNSUPPORTED_VERSION, -32601, -32000])
async def test_a_refused_initialize_keeps_the_servers_own_code(code):
    server = Server(RpcError(code, "not here"))
    with pytest.raises(BackendError, match="refused initialize: not here") as caught:
        await initialize(server.request, server.notify, "s")
    assert (caught.value.kind, caught.value.code) == (FailureKind.BACKEND_ERROR, code)
    assert server.notified == []


@pytest.mark.parametrize("version", ["2026-07-28", "1.0", "DRAFT"])
async def test_a_version_that_we_do_not_speak_is_refused(version):
    server = Server({**INITIALIZED, "protocolVersion": version})
    with pytest.raises(BackendError, match="wants protocol version") as caught:
        await initialize(server.request, server.notify, "s")
    assert (caught.value.kind, caught.value.code) == (FailureKind.BAD_ANSWER, UNSUPPORTED_VERSION)


@pytest.mark.parametrize("answer", [None, [], {}, {"protocolVersion": 7}])
async def test_an_initialize_answer_without_a_version_is_a_bad_answer(answer):
    server = Server(answer)
    with pytest.raises(BackendError, match="without a protocol version"):
        await initialize(server.request, server.notify, "s")


def test_a_modern_request_carries_the_real_client_and_what_it_sent():
    asked = tool_call("x", client=MODERN_CLIENT, meta={"traceparent": "00-1"}, log_level="debug")
    assert invocation_meta(asked, Era.MODERN, "2026-07-28") == {
        "traceparent": "00-1",
        PREFIX + "protocolVersion": "2026-07-28",
        PREFIX + "clientInfo": {"name": "ada", "version": "7"},
        PREFIX + "clientCapabilities": {"elicitation": {}},
        PREFIX + "logLevel": "debug",
    }


def test_a_client_without_a_name_travels_under_ours():
    meta = invocation_meta(tool_call("x", client=LEGACY_CLIENT), Era.MODERN, "2026-07-28")
    assert meta[PREFIX + "clientInfo"] == OWN_INFO
    assert PREFIX + "logLevel" not in meta


def test_a_legacy_request_carries_only_what_the_client_sent():
    assert invocation_meta(tool_call("x", meta={"a": 1}, log_level="debug"), Era.LEGACY, "2025-11-25") == {"a": 1}
    assert invocation_meta(tool_call("x"), Era.LEGACY, "2025-11-25") == {}


@pytest.mark.parametrize("data", [None, [], {}, {"supported": None}, {"supported": [7]}, "2026-07-28"])
def test_malformed_version_lists_read_as_empty(data):
    assert supported_versions(data) == []


@pytest.mark.parametrize(
    ("policy", "possible", "wanted"),
    [
        (EraPolicy.AUTO, (Era.MODERN, Era.LEGACY), None),
        (EraPolicy.MODERN, (Era.MODERN,), Era.MODERN),
        (EraPolicy.LEGACY, (Era.LEGACY,), Era.LEGACY),
    ],
)
def test_the_era_is_found_out_unless_the_configuration_or_the_opening_says_which(policy, possible, wanted):
    spec = BackendSpec("s", TransportKind.STDIO, era=policy)
    assert possible_eras(spec) == possible
    assert wanted_era(spec, Opening(None)) is wanted
    for era in Era:
        assert wanted_era(spec, Opening(era)) is era
