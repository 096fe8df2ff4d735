"""What routing and mapping cost: `routing.py [--rounds N] [--check]`; processor time of planning, in this process.

100 logical tools with 20 providers each, on 20 servers of one tool each. Planned are calls of a logical tool whose arguments are mapped by CEL,
checked against both schemas, and sent to a provider by each strategy, the first choice being good; `mapped` maps three
arguments, one by an expression, and has a condition. The figure is the median over rounds. Exit code 1 with --check when
one is above the target.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any, Final

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.logical import Shaping
from mcp_orchestrator.core.plan import Rules, plan
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.routing import ArgumentSource, LogicalTool, Outlook, Provider, Standing, Strategy

TARGET: Final = 60.0
"""Microseconds of processor time for routing and mapping."""

ROUTES: Final = 100
PROVIDERS: Final = 20
OURS: Final = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["query"],
}
THEIRS: Final = {
    "type": "object",
    "properties": {"q": {"type": "string"}, "max": {"type": "integer"}, "lang": {"type": "string"}},
    "required": ["q"],
}
ARGUMENTS: Final = {
    "q": ArgumentSource("args.query"),
    "max": ArgumentSource("args.limit * 2"),
    "lang": ArgumentSource(const=("en",)),
}


def catalog(strategy: Strategy, *, when: str) -> Catalog:
    """A catalog of 100 logical tools over 20 servers."""
    providers = tuple(
        Provider(f"s{number}.find", when=when, arguments=ARGUMENTS, weight=number + 1, price=number * 100)
        for number in range(PROVIDERS)
    )
    tools = {f"t{n}": LogicalTool(f"t{n}", "", OURS, providers, strategy=strategy) for n in range(ROUTES)}
    tool = {"name": "find", "inputSchema": THEIRS}
    sources = [
        Offers(f"s{number}", Era.MODERN, "", capabilities={"tools": {}}, tools=(tool,)) for number in range(PROVIDERS)
    ]
    return Catalog(Era.MODERN, None, sources, None, Shaping(None, tools))


def call_of(name: str, arguments: dict[str, Any], who: int) -> Call:
    """A call as a listener makes it."""
    client = ClientFace(Era.MODERN, "2026-07-28", {}, {"name": "bench", "version": "1"})
    params = {"name": name, "arguments": arguments}
    return Call(CallKind.TOOL, "tools/call", name, params, {}, client, Principal(f"token:{who}", "token"))


def spent(made: Catalog, names: list[str], arguments: dict[str, Any], rounds: int) -> float:
    """Microseconds of processor time of one plan, the median over rounds."""
    standings = {f"s{n}.find": Standing(latency=0.01 * (n + 1), measured_at=0.0) for n in range(PROVIDERS)}
    outlook, rules = Outlook(1.0, 0.5, standings), Rules()
    calls = [call_of(names[n % len(names)], arguments, n) for n in range(500)]
    for call in calls:
        assert plan(call, made, rules, outlook=outlook).target is not None, plan(call, made, rules, outlook=outlook)
    figures = []
    for _ in range(rounds):
        before = time.process_time()
        for call in calls:
            plan(call, made, rules, outlook=outlook)
        figures.append((time.process_time() - before) / len(calls) * 1e6)
    return statistics.median(figures)


def main() -> int:
    """Measure and print one line a strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    ours = [f"t{n}" for n in range(ROUTES)]
    plain = spent(catalog(Strategy.FAILOVER, when=""), ["s0__find"], {"q": "weather", "max": 3}, chosen.rounds)
    print(f"a plain tool                    {plain:6.1f} us")
    missed = False
    for strategy in Strategy:
        for when in ("", "size(args.query) < 400"):
            made = catalog(strategy, when=when)
            whole = spent(made, ours, {"query": "weather", "limit": 3}, chosen.rounds)
            missed = missed or whole - plain > TARGET
            what = f"{strategy.value} with a condition" if when else strategy.value
            print(f"{what:<30}  {whole:6.1f} us, of it routing and mapping {whole - plain:6.1f} us (target {TARGET:g})")
    return 1 if missed and chosen.check else 0


if __name__ == "__main__":
    sys.exit(main())
