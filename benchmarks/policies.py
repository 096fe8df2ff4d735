"""What deciding costs: `policies.py [--rounds N] [--check]`; processor time of one decision, in this process.

10 and 100 rules of ten shapes over caller, tool, arguments, depth and time, none of which applies, so that every one that
fits is asked; `plain` are rules without conditions, `nobody` rules that are about other tools. `result` looks through a
result of 10 kB for ten patterns. The figure is the median over rounds. Exit code 1 with --check when one is above its
target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.rules import Effect, Match, Phase, PolicyRule, Redaction

TARGETS: Final = {10: 40.0, 100: 300.0}
"""Microseconds of processor time for a decision, by number of rules."""

SHAPES: Final = (
    'args.branch in ["main", "master"]',
    'has(args.path) && args.path.startsWith("/etc")',
    '"interns" in principal.groups',
    "tool.destructive && run.depth > 2",
    'args.count > 100 || args.name == "root"',
    'now.getDayOfWeek("Europe/Berlin") == 7',
    'client.name == "nobody" && !tool.read_only',
    'args.items.exists(item, item == "forbidden")',
    'principal.id.startsWith("token:") && args.force == true',
    'args.text.matches("(?i)drop +table")',
)
ARGUMENTS: Final = {
    "branch": "dev", "path": "/srv/x", "count": 3, "name": "ada", "items": ["a", "b", "c"], "force": False, "text": "select",
}  # fmt: skip
SUBJECT: Final = Subject(("tool",), ("github.push",), "github", ("write",), {"destructiveHint": True})
ASKER: Final = Asker(Principal("local:ada", groups=("staff",)), "cursor", "1", "modern", "dev")
NOW: Final = 1_795_500_000.0
RESULT: Final = json.dumps({"content": [{"type": "text", "text": "nothing to be found here " * 400}]}).encode()


def rules(count: int, *, conditions: bool = True, tool: str = "github.*") -> list[PolicyRule]:
    """So many rules, of the ten shapes in turn."""
    return [
        PolicyRule(
            f"r{number}",
            Effect.DENY if conditions else Effect.ALLOW,
            Match(tool=(tool,)),
            SHAPES[number % len(SHAPES)] if conditions else "",
        )
        for number in range(count)
    ]


def measured(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of processor time of one piece of work, the median over rounds."""
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(200):
            work()
        times.append((time.process_time() - started) / 200 * 1e6)
    return statistics.median(times)


def main() -> int:
    """Measure, print, and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    slow = False
    for count, target in TARGETS.items():
        policy = Policy(rules(count))
        assert policy.decide(SUBJECT, ASKER, ARGUMENTS, NOW) is None
        took = measured(lambda policy=policy: policy.decide(SUBJECT, ASKER, ARGUMENTS, NOW), options.rounds)
        slow |= took > target
        print(f"{count:4} rules with conditions  {took:7.1f} us   target {target:.0f}   ratio {took / target:.2f}")
    plain, nobody = Policy(rules(100, conditions=False)), Policy(rules(100, tool="files.*"))
    for name, policy in (("plain", plain), ("nobody", nobody)):
        took = measured(lambda policy=policy: policy.decide(SUBJECT, ASKER, ARGUMENTS, NOW), options.rounds)
        print(f" 100 rules, {name:14} {took:7.1f} us")
    redact = PolicyRule("x", Effect.REDACT, phases=(Phase.RESULT,), redact=Redaction(("secret:*",)))
    ruling = Policy([redact]).decide(SUBJECT, ASKER, ARGUMENTS, NOW)
    assert ruling is not None
    assert ruling.judge is not None
    print(
        f"   a result of {len(RESULT) // 1000} kB      {measured(lambda: ruling.judge(RESULT), options.rounds):7.1f} us"
    )
    return int(slow and options.check)


if __name__ == "__main__":
    sys.exit(main())
