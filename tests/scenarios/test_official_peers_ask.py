"""Official clients of both eras are asked by official servers through the gateway: Python SDK 2.3 and TypeScript."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.fixture(scope="module")
def gateway(serve, npm_server, modern_python, tmp_path_factory):
    """Servers that ask: the SDK's own in both eras, TypeScript's in the legacy one, and raw ones of each kind."""
    directory = tmp_path_factory.mktemp("asking")
    command, *arguments = npm_server("server-everything", "stdio")
    servers = {"everything": {"command": command, "args": arguments}}
    old, new, sdk = free_ports(3)
    url = f"http://127.0.0.1:{sdk}/mcp"
    reference = [modern_python, str(PEERS / "reference_server.py"), str(sdk)]
    asker = [sys.executable, str(PEERS / "asker.py")]
    with running(reference, url, directory / "reference.log"):
        servers["reference"] = {"type": "http", "url": url}
        ways = [("legacy", old), ("modern", new)]
        for era, _ in ways:
            servers[f"{era}_pipe"] = {"command": asker[0], "args": [*asker[1:], "stdio", "--era", era]}
        addresses = [f"http://127.0.0.1:{port}/mcp" for _, port in ways]
        programs = [[*asker, f"http:{port}", "--era", era] for era, port in ways]
        with (
            running(programs[0], addresses[0], directory / "old.log"),
            running(programs[1], addresses[1], directory / "new.log"),
        ):
            servers |= {
                f"{era}_http": {"type": "http", "url": at} for (era, _), at in zip(ways, addresses, strict=True)
            }
            yield serve(servers)


@pytest.fixture(scope="module")
def talk(gateway, program, modern_python):
    """Run the SDK's client in one era over one transport; returns its results and what it was asked, call by call."""
    ways = {
        "http": ("http", gateway.url),
        "stdio": ("stdio", program, "serve", "--stdio", "--config", str(gateway.config)),
    }

    def run(era, way, calls):
        mode = "legacy" if era == "legacy" else VERSIONS["modern"]
        argv = [modern_python, str(PEERS / "client_sdk2_asked.py"), mode, *ways[way]]
        done = subprocess.run(argv, input=json.dumps(calls), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        seen = json.loads(done.stdout.splitlines()[-1])
        assert seen["version"] == VERSIONS[era]
        return seen["results"], seen["asked"]

    return run


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def text_of(result):
    return "\n".join(block.get("text", "") for block in result["content"])


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_sdks_client_answers_servers_of_both_eras(talk, era, way):
    """The driver of multi-round requests of the modern era, the callbacks of the legacy one."""
    results, asked = talk(era, way, [call(f"{name}__ask", rounds=ROUNDS, tag=name) for name in ASKERS])
    assert len(asked) == 5 * len(ASKERS)
    for result in results:
        first, second, third = result["_meta"]["found"]["answers"]
        accepted = {"action": "accept", "content": {"field": "Ada"}}
        assert [accepted, "Paris", "file:///home/ada"] == [
            first[0], first[1]["content"]["text"], first[2]["roots"][0]["uri"],
        ]  # fmt: skip
        assert [second, third] == [[{"action": "accept"}], [accepted]]


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_typescript_server_asks_clients_of_both_eras(talk, era, way):
    calls = [
        call("everything__trigger-elicitation-request"),
        call("everything__trigger-sampling-request", prompt="The capital of France?", maxTokens=9),
        call("everything__get-roots-list"),
        call("everything__trigger-url-elicitation", url="https://login.example/"),
    ]
    (elicited, sampled, roots, visited), asked = talk(era, way, calls)
    assert "User provided the requested information" in text_of(elicited)
    assert "Ada" in text_of(elicited)
    assert "Paris" in text_of(sampled)
    assert "file:///home/ada" in text_of(roots)
    assert "accept" in text_of(visited)
    assert {one.get("mode", "form") for one in asked if "message" in one} == {"form", "url"}


@pytest.mark.parametrize("way", ["http", "stdio"])
def test_an_address_that_the_typescript_server_wants_visited_first_is_shown_to_a_modern_client(talk, way):
    wanted = call("everything__trigger-url-elicitation", url="https://login.example/", errorPath=True)
    (visited,), asked = talk("modern", way, [wanted])
    prerequisite = "https://modelcontextprotocol.io"  # when called again, the server asks for the address itself
    assert [one["url"] for one in asked] == [prerequisite, "https://login.example/"]
    assert not visited.get("isError")


@pytest.mark.parametrize("way", ["http", "stdio"])
def test_the_sdks_server_asks_each_client_in_its_own_era(talk, way):
    rounds = ("multiple_inputs", "multi_round", "request_state", "elicitation", "sampling", "list_roots")
    results, _ = talk("modern", way, [call(f"reference__test_input_required_result_{name}") for name in rounds])
    assert [text_of(result) for result in results] == [
        "All three answers arrived.",
        "Ada likes Ada.",
        "state-ok: confirmation received",
        "Hello, Ada!",
        "Model said: Paris",
        "1 root(s)",
    ]
    names = ("elicitation_sep1034_defaults", "elicitation_sep1330_enums")
    calls = [call("reference__test_elicitation", message="?"), call("reference__test_sampling", prompt="?")]
    results, _ = talk("legacy", way, [*calls, *(call(f"reference__test_{name}") for name in names)])
    assert text_of(results[0]) == 'User response: action=accept, content={"response": "Ada"}'
    assert text_of(results[1]) == "LLM response: Paris"
    assert '"verified": true' in text_of(results[2])
    assert '"titledMulti": ["value1"]' in text_of(results[3])
