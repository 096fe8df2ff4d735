"""The steps of the demo: real processes, a real client, a real failure; what is shown is what was checked."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from mcp_orchestrator.cli.demo_gateway import DemoGateway, Surprise, still_there, wait_for
from mcp_orchestrator.cli.exits import Ended
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_line, table
from mcp_orchestrator.cli.reasons import reason_lines
from mcp_orchestrator.testing.http_client import HttpClient, RpcError

NOTE: Final = "buy milk"
EXPECTED_TOOLS: Final = ("clock__now", "clock__wait", "notes__add", "notes__list")
_LONG: Final = 600


class Demonstration:
    """Runs the steps one after the other; `steps` is what happened, as plain JSON."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self.steps: list[dict[str, Any]] = []

    def run(self) -> bool:
        """All steps; False when one of them showed something unexpected. Cleans up in either case."""
        with tempfile.TemporaryDirectory(prefix="mcp-orchestrator-demo-") as directory:
            gateway = DemoGateway(Path(directory))
            try:
                worked = self._acts(gateway)
            except BaseException:  # Ctrl-C: nothing may be left behind then either
                gateway.kill()
                raise
            ended = self._step("End everything", lambda: self._end(gateway))
        if worked and ended:
            self._say(self._out.paint("\nThat was everything, and nothing is left of it.", Style.GOOD))
            self._say("Next: write an orchestrator.yaml with your own mcpServers, then: mcp-orchestrator serve")
        return worked and ended

    def _acts(self, gateway: DemoGateway) -> bool:
        acts: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("Start a gateway with two MCP servers behind it", lambda: self._start(gateway)),
            ("List the tools as one client sees them", lambda: self._list(gateway)),
            ("Call tools of both servers", lambda: self._call(gateway)),
            ("Kill a server in the middle of a call", lambda: self._kill(gateway)),
            ("Call it again", lambda: self._recover(gateway)),
            ("Ask why a call goes where it goes", lambda: self._plan(gateway)),
            ("Read the journal", lambda: self._journal(gateway)),
        ]
        return all(self._step(title, act) for title, act in acts)

    def _step(self, title: str, act: Callable[[], dict[str, Any]]) -> bool:
        self._say(self._out.paint(f"\n{len(self.steps) + 1}. {title}", Style.STRONG))
        began = time.monotonic()
        try:
            facts, problem = act(), ""
        except (Surprise, RpcError, Ended, OSError, ValueError, LookupError) as error:
            facts, problem = {}, f"{type(error).__name__}: {error}" if not isinstance(error, Surprise) else str(error)
            self._out.note(f"   This should not have happened: {safe(problem)}", Style.BAD)
        seconds = round(time.monotonic() - began, 3)
        step = {"step": title, "ok": not problem, "seconds": seconds, "facts": facts}
        self.steps.append(step | ({"problem": problem} if problem else {}))
        return not problem

    def _say(self, text: str) -> None:
        if not self._out.json:
            self._out.line(text)

    def _show(self, text: str) -> None:
        self._say("\n".join(f"   {line}" for line in text.splitlines()))

    # -- the steps ------------------------------------------------------------------------------------------------

    def _start(self, gateway: DemoGateway) -> dict[str, Any]:
        url = gateway.start()
        found = HttpClient(url).request("server/discover")
        versions = found.get("supportedVersions")
        expect(isinstance(versions, list) and bool(versions), f"no protocol version in {found}")
        self._show(f"It serves MCP at {url} (process {gateway.pid}).")
        return {"url": url, "pid": gateway.pid, "versions": versions}

    def _list(self, gateway: DemoGateway) -> dict[str, Any]:
        tools = HttpClient(gateway.url).request("tools/list")["tools"]
        names = sorted(tool["name"] for tool in tools)
        expect(names == list(EXPECTED_TOOLS), f"other tools than expected: {names}")
        self._show(table(["TOOL", "WHAT IT DOES"], [[tool["name"], tool["description"]] for tool in tools], None))
        return {"tools": names}

    def _call(self, gateway: DemoGateway) -> dict[str, Any]:
        client = HttpClient(gateway.url)
        added = client.call("notes__add", text=NOTE)["structuredContent"]
        now = client.call("clock__now", zone="UTC")["structuredContent"]
        expect(added == {"number": 1, "count": 1}, f"another answer of notes__add than expected: {added}")
        expect(now.get("zone") == "UTC", f"another answer of clock__now than expected: {now}")
        self._show(f"notes__add text={NOTE!r}  ->  {json.dumps(added)}")
        self._show(f"clock__now zone=UTC  ->  {safe_line(str(now['time']))}")
        return {"notes__add": added, "clock__now": now}

    def _kill(self, gateway: DemoGateway) -> dict[str, Any]:
        with ThreadPoolExecutor(max_workers=1) as pool:
            call = pool.submit(HttpClient(gateway.url).call, "clock__wait", seconds=_LONG)
            try:
                wait_for(lambda: call.done() or gateway.runs(status="running"), "the call under way")
                victim = gateway.pid_of("clock")
                os.kill(victim, signal.SIGKILL)
                began = time.monotonic()
                error = _error_of(call)
            except BaseException:
                gateway.kill()  # or the pool would wait for the call
                raise
        kind = error.data.get("kind") if isinstance(error.data, dict) else None
        expect(kind == "died", f"the call failed for another reason than the kill: {error} ({kind})")
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        self._show(f"clock__wait seconds={_LONG} was under way when process {victim} was killed.")
        self._show(f"The client was told after {milliseconds} ms: {safe(str(error))}")
        return {"killed": victim, "milliseconds": milliseconds, "kind": kind, "error": str(error)}

    def _recover(self, gateway: DemoGateway) -> dict[str, Any]:
        client = HttpClient(gateway.url)
        began = time.monotonic()
        now = client.call("clock__now")["structuredContent"]
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        notes = client.call("notes__list")["structuredContent"]["notes"]
        expect([note["text"] for note in notes] == [NOTE], f"the other server was harmed: it has {notes}")
        self._show(f"clock__now answered after {milliseconds} ms from a new process, {gateway.pid_of('clock')}.")
        self._show(f"The other server never noticed: notes__list still has {NOTE!r}.")
        return {"milliseconds": milliseconds, "clock__now": now, "notes": notes, "pid": gateway.pid_of("clock")}

    def _plan(self, gateway: DemoGateway) -> dict[str, Any]:
        good = gateway.ask("plan", name="notes__add", arguments={"text": NOTE})
        bad = gateway.ask("plan", name="clock__wait", arguments={"seconds": "long"})
        expect(good["target"] is not None and good["target"]["backend"] == "notes", f"another plan: {good}")
        expect(bad["target"] is None and bad["refusal"] is not None, f"a wrong argument was accepted: {bad}")
        self._show("notes__add text=...  goes to notes:")
        self._show("\n".join(f"  {line}" for line in reason_lines(good["reasons"])))
        self._show('clock__wait seconds="long"  is refused before anything is sent:')
        self._show("\n".join(f"  {line}" for line in reason_lines(bad["reasons"])))
        return {"allowed": good, "refused": bad}

    def _journal(self, gateway: DemoGateway) -> dict[str, Any]:
        runs = gateway.runs()
        statuses = {(run.started.get("name"), run.status) for run in runs}
        wanted = {("notes__add", "completed"), ("clock__wait", "failed"), ("notes__list", "completed")}
        expect(wanted <= statuses, f"the journal lacks {wanted - statuses}")
        rows = [
            [run.id, str(run.started["name"]), run.status, f"{(run.ended or {}).get('ms', '-')} ms"] for run in runs
        ]
        self._show(table(["RUN", "CALL", "STATUS", "TOOK"], rows, None))
        return {"runs": [{"run": run.id, "call": run.started["name"], "status": run.status} for run in runs]}

    def _end(self, gateway: DemoGateway) -> dict[str, Any]:
        code = gateway.stop()
        left = still_there(gateway.seen)
        expect(not left, f"processes are left: {left}")
        expect(code == 0, f"the gateway ended with exit code {code}: {gateway.last_words()}")
        self._show(f"The gateway ended with exit code {code}; of {len(gateway.seen)} processes none is left.")
        return {"exit": code, "processes": sorted(gateway.seen), "left": left}


def expect(holds: bool, otherwise: str) -> None:
    """Raise Surprise with the text unless it holds."""
    if not holds:
        raise Surprise(otherwise)


def _error_of(call: Future[dict[str, Any]]) -> RpcError:
    try:
        result = call.result(timeout=30)
    except RpcError as error:
        return error
    except TimeoutError as error:
        raise Surprise("the client was not told within 30 seconds") from error
    raise Surprise(f"the call succeeded: {result}")
