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
ROUNDS = [[FORM, SAMPLING, {"method": "roots/list"}], [URL], [FORM]]
ASKERS = [f"{era}_{way}" for era in ("modern", "legacy") for way in ("pipe", "http")]
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}


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
        for era in VERSIONS:
            servers[f"{era}_pipe"] = {"command": asker[0], "args": [*asker[1:], "stdio", "--era", era]}
        config = write_config(directory, servers, listeners={"http": {"port": own}})
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
def seen(gateway, program, modern_python):
    """What the SDK's client saw in each era over each transport: by group of calls, results and what it was asked."""
    ways = {
        "http": ("http", gateway.url),
        "stdio": ("stdio", program, "serve", "--stdio", "--config", str(gateway.config)),
    }

    def run(era, way):
        groups = {**CALLS, **OF_ERA[era]}
        mode = "legacy" if era == "legacy" else VERSIONS["modern"]
        argv = [modern_python, str(PEERS / "client_sdk2_asked.py"), mode, *ways[way]]
        calls = json.dumps([one for calls in groups.values() for one in calls])
        done = subprocess.run(argv, input=calls, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["version"] == VERSIONS[era]
        answers = iter(zip(told["results"], told["asked"], strict=True))
        return {group: [next(answers) for _ in calls] for group, calls in groups.items()}

    pairs = [(era, way) for era in VERSIONS for way in ways]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(pairs, pool.map(lambda pair: run(*pair), pairs), strict=True))


def text_of(result):
    return "\n".join(block.get("text", "") for block in result["content"])


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_sdks_client_answers_servers_of_both_eras(seen, era, way):
    """The driver of multi-round requests of the modern era, the callbacks of the legacy one."""
    for result, asked in seen[era, way]["raw"]:
        assert len(asked) == 5
        first, second, third = result["_meta"]["found"]["answers"]
        accepted = {"action": "accept", "content": {"field": "Ada"}}
        assert [accepted, "Paris", "file:///home/ada"] == [
            first[0], first[1]["content"]["text"], first[2]["roots"][0]["uri"],
        ]  # fmt: skip
        assert [second, third] == [[{"action": "accept"}], [accepted]]


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_typescript_server_asks_clients_of_both_eras(seen, era, way):
    (elicited, form), (sampled, _), (roots, _), (visited, address) = seen[era, way]["typescript"]
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
