"""One logical tool over different real servers: what was asked is done once, by whoever can, in both eras."""

import asyncio
import json
import os
import signal
from collections import Counter

import anyio
import pytest
from gateway_kit import legacy, modern, serving, unruly, until

pytestmark = [pytest.mark.anyio, pytest.mark.real]

COUNT = {
    "inputSchema": {"type": "object", "properties": {"n": {"type": "string"}, "delay": {"type": "number"}}},
    "providers": [{"tool": "one.count"}, {"tool": "two.count"}],
}
PATIENT = {"listWait": "60s"}  # the first provider is waited for, however slowly it starts
ZONE = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}


def block(argv, **env):
    return {"command": argv[0], "args": list(argv[1:]), "env": env}


def executions(path):
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_provider_that_is_killed_in_the_middle_of_a_call_is_not_followed_by_another(tmp_path, era):
    counts = tmp_path / "counts"
    servers = {name: unruly("--era", era, "--counts", counts) for name in ("one", "two")}
    async with (
        serving(tmp_path, servers, tools={"work": COUNT}, limits=PATIENT) as gateway,
        modern(gateway.url) as client,
    ):
        pid = (await client.call("work", {"n": "first"}))["result"]["structuredContent"]["pid"]
        calls = [asyncio.create_task(client.call("work", {"n": f"n{number}", "delay": 30})) for number in range(8)]
        await until(lambda: sum(executions(counts).values()) == 9)
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(10):
            for response in await asyncio.gather(*calls):
                error = response["error"]
                assert "may have had effects and was not repeated" in error["message"]
                assert "(sent to one.count)" in error["message"]
                assert error["data"]["retryable"] is False
                assert error["data"]["tries"] == [
                    {"provider": "one.count", "sent": True, "status": "failed", "kind": "died"}
                ]
        assert set(executions(counts).values()) == {1}
        tried = gateway.events("run.tried")
        assert Counter(event.data["provider"] for event in tried) == {"one.count": 9}


async def test_a_provider_that_only_reads_by_configuration_is_followed_by_another_when_it_is_killed(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    servers = {"one": unruly("--counts", first), "two": unruly("--counts", second)}
    providers = [{"tool": "one.count", "readOnly": True}, {"tool": "two.count"}]
    tools = {"work": {**COUNT, "providers": providers}}
    async with serving(tmp_path, servers, tools=tools, limits=PATIENT) as gateway, modern(gateway.url) as client:
        pid = (await client.call("work", {"n": "quick"}))["result"]["structuredContent"]["pid"]
        slow = asyncio.create_task(client.call("work", {"n": "slow", "delay": 1}))
        await until(lambda: executions(first)["slow"] == 1)
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(10):
            assert (await slow)["result"]["structuredContent"]["pid"] != pid
        assert executions(second) == {"slow": 1}


async def test_a_provider_that_cannot_be_started_leaves_the_call_to_the_next(tmp_path):
    counts = tmp_path / "counts"
    servers = {"one": unruly("--mode", "dies"), "two": unruly("--counts", counts)}
    async with (
        serving(tmp_path, servers, tools={"work": COUNT}, limits=PATIENT) as gateway,
        modern(gateway.url) as client,
    ):
        with anyio.fail_after(20):
            for number in range(3):
                assert "result" in await client.call("work", {"n": f"n{number}"})
        assert executions(counts) == {"n0": 1, "n1": 1, "n2": 1}


@pytest.mark.parametrize("first", ["time", "clock"])
async def test_two_time_servers_with_different_schemas_are_one_tool_in_both_eras(
    tmp_path, pypi_server, npm_server, first
):
    servers = {"time": block(pypi_server("mcp-server-time")), "clock": block(npm_server("time-mcp"))}
    providers = {
        "time": {
            "tool": "time.get_current_time",
            "rename": {"zone": "timezone"},
            "result": {"structured": {"time": "result.structured.datetime"}},
        },
        "clock": {
            "tool": "clock.current_time",
            "arguments": {"timezone": "args.zone", "format": {"const": "YYYY-MM-DD"}},
            "result": {"structured": {"time": "result.text"}, "text": "{{args.zone}}: {{result.text}}"},
        },
    }
    order = [providers[first], *(made for name, made in providers.items() if name != first)]
    output = {"type": "object", "properties": {"time": {"type": "string"}}, "required": ["time"]}
    tools = {"now": {"inputSchema": ZONE, "outputSchema": output, "providers": order}}
    async with serving(tmp_path, servers, tools=tools, limits=PATIENT) as gateway:
        async with modern(gateway.url) as new, legacy(gateway.url) as old:
            for client in (new, old):
                listed = (await client.ask("tools/list"))[0]["result"]["tools"]
                assert listed[0]["name"] == "now"
                assert listed[0]["outputSchema"] == output
                with anyio.fail_after(30):
                    result = (await client.call("now", {"zone": "UTC"}))["result"]
                assert "20" in result["structuredContent"]["time"]
                if first == "time":
                    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
                else:
                    assert result["content"][0]["text"].startswith("UTC: ")
            refused = (await new.call("now", {"zone": 7}))["result"]
            assert refused["isError"]
        assert {event.data["provider"].partition(".")[0] for event in gateway.events("run.tried")} == {first}


async def test_two_file_servers_read_one_file_and_the_cheaper_one_that_can_is_asked(tmp_path, npm_server):
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / "a.txt"
    file.write_text("one\ntwo\n")
    where = str(tmp_path / "files")
    disk = npm_server("agent-infra-filesystem", "--allowed-directories", where)
    servers = {"files": block(npm_server("server-filesystem", where)), "disk": block(disk)}
    schema = {
        "type": "object",
        "properties": {"file": {"type": "string"}, "lines": {"type": "integer"}},
        "required": ["file"],
    }
    providers = [
        {"tool": "files.read_text_file", "arguments": {"path": "args.file", "head": "args.lines"}, "price": 0.02},
        {
            "tool": "disk.read_file",
            "when": "!has(args.lines)",
            "rename": {"file": "path"},
            "drop": ["lines"],
            "price": 0.01,
        },
    ]
    tools = {"read": {"inputSchema": schema, "strategy": "cheapest", "providers": providers}}
    async with serving(tmp_path, servers, tools=tools, limits=PATIENT) as gateway, modern(gateway.url) as client:
        with anyio.fail_after(30):
            whole = (await client.call("read", {"file": str(file)}))["result"]
            head = (await client.call("read", {"file": str(file), "lines": 1}))["result"]
        assert whole["content"][0]["text"].strip() == "one\ntwo"
        assert head["content"][0]["text"].strip() == "one"
        assert [event.data["provider"] for event in gateway.events("run.tried")][::-1] == [
            "disk.read_file",
            "files.read_text_file",
        ]


async def test_what_is_remembered_by_one_of_two_memory_servers_is_found_there_again(tmp_path, npm_server):
    servers = {
        "memory": block(npm_server("server-memory"), MEMORY_FILE_PATH=str(tmp_path / "memory.json")),
        "graph": block(npm_server("knowledge-graph", "--memory-path", str(tmp_path / "graph.json"))),
    }
    entities = {"type": "array", "items": {"type": "object"}}
    tools = {
        "remember": {
            "inputSchema": {"type": "object", "properties": {"entities": entities}, "required": ["entities"]},
            "strategy": "sticky",
            "by": "caller",
            "providers": [{"tool": "memory.create_entities"}, {"tool": "graph.create_entities"}],
        },
        "recall": {
            "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
            "providers": [{"tool": "memory.search_nodes"}, {"tool": "graph.search_nodes"}],
        },
    }
    async with serving(tmp_path, servers, tools=tools, limits=PATIENT) as gateway, modern(gateway.url) as client:
        with anyio.fail_after(30):
            for number in range(3):
                entity = {"name": f"e{number}", "entityType": "thing", "observations": ["is blue"]}
                assert "result" in await client.call("remember", {"entities": [entity]})
            assert "result" in await client.call("recall", {"query": "e"})
        chosen = [event.data["provider"] for event in gateway.events("run.tried") if "create" in event.data["provider"]]
        assert len(chosen) == 3
        assert len(set(chosen)) == 1


async def test_a_mapping_is_proved_against_what_servers_offered_when_they_were_last_seen(
    tmp_path, pypi_server, run_program
):
    servers = {"time": block(pypi_server("mcp-server-time"))}
    tools = {
        "now": {"inputSchema": ZONE, "providers": [{"tool": "time.get_current_time", "rename": {"zone": "timezone"}}]}
    }
    async with serving(tmp_path, servers, tools=tools, limits=PATIENT) as gateway, modern(gateway.url) as client:
        with anyio.fail_after(30):
            assert "result" in await client.call("now", {"zone": "UTC"})
    path = tmp_path / "orchestrator.yaml"
    assert run_program("check", "--strict", config=path).returncode == 0
    path.write_text(path.read_text().replace('"timezone"', '"timezon"'))
    checked = run_program("check", "--format", "json", config=path)
    assert checked.returncode == 2
    problems = {problem["code"]: problem for problem in json.loads(checked.stdout)["problems"]}
    assert set(problems) == {"C082", "C084"}
    assert problems["C082"]["fix"] == 'did you mean "timezone"?'
    assert problems["C082"]["line"] == 1
    listed = run_program("tools", "list", config=path)  # a gateway starts all the same: the server may have changed
    assert listed.returncode == 0


async def test_plan_explains_the_choice_and_show_tells_the_providers(tmp_path, run_program):
    servers = {"one": unruly(), "two": unruly()}
    providers = [{"tool": "one.count", "when": "args.n == 'x'"}, {"tool": "two.count", "weight": 3}]
    config = {"tools": {"work": {**COUNT, "providers": providers}}}
    async with serving(tmp_path, servers, limits=PATIENT, **config) as gateway, modern(gateway.url) as client:
        assert "result" in await client.call("work", {"n": "y"})
        path = gateway.config
        planned = await anyio.to_thread.run_sync(
            lambda: run_program("plan", "--call", "work", "n=y", "--format", "json", config=path)
        )
        found = json.loads(planned.stdout)
        assert found["target"]["backend"] == "two"
        told = [(one["text"], one["rule"]) for one in found["reasons"] if one["step"] == "route"]
        assert told == [
            ("one.count does not take it: when is false: args.n == 'x'", "work"),
            ("two.count can take it (failover)", "work"),
        ]
        shown = await anyio.to_thread.run_sync(lambda: run_program("tools", "show", "work", config=path))
        assert "one.count" in shown.stdout
        assert "args.n == 'x'" in shown.stdout
