"""Official clients of both eras are asked by official servers through the gateway: Python SDK 2.3 and TypeScript."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_kit import write_config
from run_suite import free_ports, running

pytestmark = pytest.mark.real

PEERS = Path(__file__).resolve().parents[1] / "peers"
FIELD = {"type": "object", "properties": {"field": {"type": "string"}}, "required": ["field"]}
FORM = {"method": "elicitation/create", "params": {"message": "Please", "requestedSchema": FIELD}}
URL = {
    "method": "elicitation/create",
    "params": {"mode": "url", "url": "https://login.example/", "message": "Sign in", "elicitationId": "e-1"},
}
TEXT = {"type": "text", "text": "The capital of France?"}
SAMPLING = {
    "method": "sampling/createMessage",
    "params": {"messages": [{"role": "user", "content": TEXT}], "maxTokens": 9},
}
WEATHER = {"name": "weather", "description": "", "inputSchema": {"type": "object", "properties": {}}}
TOOLED = {
    "method": "sampling/createMessage",
    "params": {**SAMPLING["params"], "tools": [WEATHER], "toolChoice": {"mode": "required"}},
}
COLORS = [{"const": "#F00", "title": "Red"}, {"const": "#0F0", "title": "Green"}]
FIELDS = {
    "string": ({"type": "string", "minLength": 1, "maxLength": 9}, "Ada"),
    "email": ({"type": "string", "format": "email", "default": "ada@example.com"}, "ada@example.com"),
    "uri": ({"type": "string", "format": "uri", "default": "https://example.com/"}, "https://example.com/"),
    "date": ({"type": "string", "format": "date", "default": "2026-11-24"}, "2026-11-24"),
    "time": ({"type": "string", "format": "date-time", "default": "2026-11-24T12:00:00Z"}, "2026-11-24T12:00:00Z"),
    "number": ({"type": "number", "minimum": 0, "maximum": 9.5}, 7.5),
    "integer": ({"type": "integer", "minimum": 0, "maximum": 9}, 7),
    "boolean": ({"type": "boolean", "default": False}, False),
    "enum": ({"type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"]}, "r"),
    "titled": ({"type": "string", "oneOf": COLORS}, "#F00"),
    "multi": ({"type": "array", "minItems": 1, "items": {"type": "string", "enum": ["a", "b"]}}, ["a"]),
    "titled-multi": ({"type": "array", "items": {"anyOf": COLORS}, "default": ["#F00", "#0F0"]}, ["#F00", "#0F0"]),
}
"""Every kind of field, and what the clients fill in."""
WHOLE = {"type": "object", "properties": {name: field for name, (field, _) in FIELDS.items()}, "required": list(FIELDS)}
LONG = {"method": "elicitation/create", "params": {"message": "All of it", "requestedSchema": WHOLE}}
ROUNDS = [[FORM, SAMPLING, {"method": "roots/list"}], [URL], [LONG, TOOLED]]
ASKERS = [f"{era}_{way}" for era in ("modern", "legacy") for way in ("pipe", "http")]
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25", "typescript": "2025-11-25"}
"""What each client speaks: the Python SDK's in both eras, the TypeScript SDK's in the legacy one."""
ERAS = ("modern", "legacy")
CLIENTS = tuple(VERSIONS)


@dataclass(frozen=True)
class Served:
    url: str
    config: Path


@pytest.fixture(scope="module")
def gateway(program, npm_server, modern_python, tmp_path_factory):
    """A gateway before servers that ask: the SDK's own in both eras, TypeScript's, and raw ones of each kind."""
    directory = tmp_path_factory.mktemp("asking")
    command, *arguments = npm_server("server-everything", "stdio")
    servers = {"everything": {"command": command, "args": arguments}}
    asker = [sys.executable, str(PEERS / "asker.py")]
    *ports, own = free_ports(4)
    programs = [
        ("reference", [modern_python, str(PEERS / "reference_server.py"), str(ports[0])]),
        ("legacy_http", [*asker, f"http:{ports[1]}", "--era", "legacy"]),
        ("modern_http", [*asker, f"http:{ports[2]}", "--era", "modern"]),
    ]
    with ExitStack() as stack:
        for (name, argv), port in zip(programs, ports, strict=True):
            url = f"http://127.0.0.1:{port}/mcp"
            stack.enter_context(running(argv, url, directory / f"{name}.log"))
            servers[name] = {"type": "http", "url": url}
        for era in ERAS:
            servers[f"only_{era}"] = servers["reference"]  # the same server, spoken to in one of its eras
            servers[f"{era}_pipe"] = {"command": asker[0], "args": [*asker[1:], "stdio", "--era", era]}
        eras = {f"only_{era}": {"era": era} for era in ERAS}
        config = write_config(directory, servers, listeners={"http": {"port": own}}, backends=eras)
        url = f"http://127.0.0.1:{own}/mcp"
        stack.enter_context(running([program, "serve", "--config", str(config)], url, directory / "gateway.log"))
        yield Served(url, config)


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


CALLS = {
    "raw": [call(f"{name}__ask", rounds=ROUNDS, tag=name) for name in ASKERS],
    "typescript": [
        call("everything__trigger-elicitation-request"),
        call("everything__trigger-sampling-request", prompt="The capital of France?", maxTokens=9),
        call("everything__get-roots-list"),
        call("everything__trigger-url-elicitation", url="https://login.example/"),
    ],
}
BRIDGED = {
    "modern": [call("only_legacy__test_elicitation", message="?"), call("only_legacy__test_sampling", prompt="?")],
    "legacy": [
        call("only_modern__test_input_required_result_elicitation"),
        call("only_modern__test_input_required_result_multi_round"),
    ],
}
"""Tools that a server with both eras has in one of them only, called by clients of the other."""
OF_ERA = {
    "modern": {
        "first": [call("everything__trigger-url-elicitation", url="https://login.example/", errorPath=True)],
        "sdk": [
            call(f"reference__test_input_required_result_{name}")
            for name in ("multiple_inputs", "multi_round", "request_state", "elicitation", "sampling", "list_roots")
        ],
    },
    "legacy": {
        "sdk": [
            call("reference__test_elicitation", message="?"),
            call("reference__test_sampling", prompt="?"),
            call("reference__test_elicitation_sep1034_defaults"),
            call("reference__test_elicitation_sep1330_enums"),
        ],
    },
}


@pytest.fixture(scope="module")
def seen(gateway, program, modern_python, node, node_modules):
    """What each client saw over each transport: by group of calls, results and what it was asked."""
    ways = {
        "http": ("http", gateway.url),
        "stdio": ("stdio", program, "serve", "--stdio", "--config", str(gateway.config)),
    }

    def run(client, way):
        era = "modern" if client == "modern" else "legacy"
        groups = {**CALLS, **OF_ERA[era], "bridged": BRIDGED[era]}
        if client == "typescript":
            argv = [node, str(PEERS / "client_typescript_asked.mjs"), str(node_modules)]
        else:
            argv = [modern_python, str(PEERS / "client_sdk2_asked.py"), "legacy" if era == "legacy" else VERSIONS[era]]
        calls = json.dumps([one for calls in groups.values() for one in calls])
        done = subprocess.run([*argv, *ways[way]], input=calls, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["version"] == VERSIONS[client]
        answers = iter(zip(told["results"], told["asked"], strict=True))
        return {group: [next(answers) for _ in calls] for group, calls in groups.items()}

    pairs = [(client, way) for client in CLIENTS for way in ways]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(pairs, pool.map(lambda pair: run(*pair), pairs), strict=True))


def text_of(result):
    return "\n".join(block.get("text", "") for block in result["content"])


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_sdks_clients_answer_servers_of_both_eras(seen, client, way):
    """The driver of multi-round requests of the modern era, the callbacks of the legacy one."""
    for result, asked in seen[client, way]["raw"]:
        assert len(asked) == 6
        first, second, (filled, tooled) = result["_meta"]["found"]["answers"]
        accepted = {"action": "accept", "content": {"field": "Ada"}}
        assert [accepted, "Paris", "file:///home/ada"] == [
            first[0], first[1]["content"]["text"], first[2]["roots"][0]["uri"],
        ]  # fmt: skip
        assert second == [{"action": "accept"}]
        assert filled["content"] == {name: answer for name, (_, answer) in FIELDS.items()}
        assert [(one["name"], one["input"]) for one in tooled["content"]] == [("weather", {"city": "Paris"})]


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_typescript_server_asks_clients_of_both_eras(seen, client, way):
    (elicited, form), (sampled, _), (roots, _), (visited, address) = seen[client, way]["typescript"]
    assert "User provided the requested information" in text_of(elicited)
    assert "Ada" in text_of(elicited)
    assert "Paris" in text_of(sampled)
    assert "file:///home/ada" in text_of(roots)
    assert "accept" in text_of(visited)
    assert [len(form), form[0].get("mode", "form")] == [1, "form"]
    assert [one["url"] for one in address] == ["https://login.example/"]


@pytest.mark.parametrize("way", ["http", "stdio"])
def test_an_address_that_the_typescript_server_wants_visited_first_is_shown_to_a_modern_client(seen, way):
    ((visited, asked),) = seen["modern", way]["first"]
    prerequisite = "https://modelcontextprotocol.io"  # when called again, the server asks for the address itself
    assert [one["url"] for one in asked] == [prerequisite, "https://login.example/"]
    assert not visited.get("isError")


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_with_both_eras_can_be_held_to_the_one_that_a_tool_needs(seen, client, way):
    """`backends.NAME.era`: a client of the other era is asked through us what it could not be asked directly."""
    (first, asked), (second, _) = seen[client, way]["bridged"]
    assert len(asked) == 1
    wanted = {
        "modern": ['User response: action=accept, content={"response": "Ada"}', "LLM response: Paris"],
        "legacy": ["Hello, Ada!", "Ada likes Ada."],
    }
    assert [text_of(first), text_of(second)] == wanted["modern" if client == "modern" else "legacy"]


@pytest.mark.parametrize("way", ["http", "stdio"])
def test_the_sdks_server_asks_each_client_in_its_own_era(seen, way):
    assert [text_of(result) for result, _ in seen["modern", way]["sdk"]] == [
        "All three answers arrived.",
        "Ada likes Ada.",
        "state-ok: confirmation received",
        "Hello, Ada!",
        "Model said: Paris",
        "1 root(s)",
    ]
    elicited, sampled, defaults, choices = [text_of(result) for result, _ in seen["legacy", way]["sdk"]]
    assert elicited == 'User response: action=accept, content={"response": "Ada"}'
    assert sampled == "LLM response: Paris"
    assert '"verified": true' in defaults
    assert '"titledMulti": ["value1"]' in choices
