"""Official clients of both eras reach real servers of both eras through the gateway, over HTTP and over stdio."""

import json
import subprocess
from pathlib import Path

import pytest
from run_suite import free_ports, running

pytestmark = pytest.mark.real

PEERS = Path(__file__).resolve().parents[1] / "peers"
CALLS = [
    {"name": "new_time__convert_time", "arguments": {"source_timezone": "UTC", "time": "12:00", "target_timezone": "UTC"}},
    {"name": "old_time__convert_time", "arguments": {"source_timezone": "UTC", "time": "12:00", "target_timezone": "UTC"}},
    {"name": "everything__echo", "arguments": {"message": "grüß dich"}},
    {"name": "files__list_allowed_directories", "arguments": {}},
    {"name": "reference__test_multiple_content_types", "arguments": {}},
    {"name": "reference__test_tool_with_progress", "arguments": {}},
    {"name": "reference__test_reconnection", "arguments": {}},
    {"name": "old_time__convert_time", "arguments": {"source_timezone": "Nowhere/Town", "time": "1:00", "target_timezone": "UTC"}},
]  # fmt: skip
CLIENTS = ("sdk2-modern", "sdk2-legacy", "sdk1", "typescript")


@pytest.fixture(scope="module")
def servers(npm_server, pypi_server, pypi_legacy_server, modern_python, tmp_path_factory):
    """Five real backends: modern and legacy, Python and TypeScript, stdio and HTTP."""

    def stdio(argv):
        return {"command": argv[0], "args": list(argv[1:])}

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/mcp"
    directory = tmp_path_factory.mktemp("files")
    log = directory / "reference.log"
    with running([modern_python, str(PEERS / "reference_server.py"), str(port)], url, log):
        yield {
            "new_time": stdio(pypi_server("mcp-server-time")),
            "old_time": stdio(pypi_legacy_server("mcp-server-time")),
            "everything": stdio(npm_server("server-everything", "stdio")),
            "files": stdio(npm_server("server-filesystem", str(directory))),
            "reference": {"type": "http", "url": url},
        }


@pytest.fixture(scope="module")
def gateway(serve, servers):
    return serve(servers)


@pytest.fixture(scope="module")
def talk(modern_python, legacy_python, node, node_modules):
    """Run an official client against `where` (`http URL` or `stdio COMMAND ...`); returns what it printed."""
    commands = {
        "sdk2-modern": [modern_python, str(PEERS / "client_sdk2.py"), "2026-07-28"],
        "sdk2-auto": [modern_python, str(PEERS / "client_sdk2.py"), "auto"],
        "sdk2-legacy": [modern_python, str(PEERS / "client_sdk2.py"), "legacy"],
        "sdk1": [legacy_python, str(PEERS / "client_sdk1.py")],
        "typescript": [node, str(PEERS / "client_typescript.mjs"), str(node_modules)],
    }

    def run(client, *where, calls=CALLS):
        done = subprocess.run(
            [*commands[client], *where],
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def ways(gateway, program):
    return {
        "http": ("http", gateway.url),
        "stdio": ("stdio", program, "serve", "--stdio", "--config", str(gateway.config)),
    }


@pytest.mark.parametrize("way", ["http", "stdio"])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_official_client_lists_and_calls_servers_of_both_eras(talk, ways, client, way):
    seen = talk(client, *ways[way])
    for name in {call["name"] for call in CALLS}:
        assert name in seen["tools"]
    new, old, echo, files, mixed, progress, polled, wrong = seen["results"]
    for result in (new, old):
        assert not result.get("isError")
        assert "UTC" in result["content"][0]["text"]
    assert echo["content"][0]["text"] == "Echo: grüß dich"
    assert "Allowed directories" in files["content"][0]["text"]
    assert [block["type"] for block in mixed["content"]] == ["text", "image", "resource"]
    assert not progress.get("isError")
    assert [step[0] for step in seen["progress"] if step[1] == 100] == [0, 50, 100]
    assert polled["content"][0]["text"] == "Reconnection test completed"
    assert wrong["isError"] is True


def test_a_client_that_probes_finds_the_modern_era(talk, ways):
    assert talk("sdk2-auto", *ways["http"], calls=[])["version"] == "2026-07-28"


def test_every_client_sees_the_same_tools_in_the_same_order(talk, ways):
    lists = [talk(client, *ways["http"], calls=[])["tools"] for client in CLIENTS]
    modern, *legacy = lists
    assert all(seen == legacy[0] for seen in legacy)
    assert len(modern) == len(set(modern))
    assert all(name.count("__") >= 1 for name in modern)


def test_the_result_of_a_call_is_the_same_as_without_the_gateway(talk, ways, servers):
    """Both eras, on what the reference server answers with every kind of content."""
    calls = [{"name": name, "arguments": {}} for name in ("test_simple_text", "test_audio_content", "test_embedded_resource", "test_error_handling")]  # fmt: skip
    through = [{**call, "name": f"reference__{call['name']}"} for call in calls]
    for client in ("sdk2-modern", "sdk1"):
        direct = talk(client, "http", servers["reference"]["url"], calls=calls)["results"]
        assert [without_server(result) for result in talk(client, *ways["http"], calls=through)["results"]] == [
            without_server(result) for result in direct
        ]


def without_server(result):
    """Each hop stamps who it is into `_meta`; everything else is compared."""
    meta = {k: v for k, v in result.get("_meta", {}).items() if k != "io.modelcontextprotocol/serverInfo"}
    return {**result, "_meta": meta}
