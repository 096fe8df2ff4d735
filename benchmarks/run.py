"""Runs the benchmark: `run.py [--case NAME ...] [--subjects NAMES] [--rounds N] [--seconds T] [--quick] [--json FILE] [--check]`.

Exit code 0: measured; 1: an answer was wrong or, with --check, a target was missed; 2: wrong usage or a subject that
does not start.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import footprint
import traffic
import uvloop
from results import Result
from subjects import STARTERS, Programs, Stage, SubjectFailedError


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*(case.name for case in traffic.CASES), *footprint.CASES]
    parser.add_argument(
        "--case", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}; default: all"
    )
    parser.add_argument("--subjects", default=",".join(STARTERS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a slice")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures here")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument(
        "--gateway",
        type=command,
        default=(sys.executable, "-m", "mcp_orchestrator"),
        help="the gateway's command up to `serve` (default: this interpreter's)",
    )
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has mcp and fastmcp")
    return parser


def command(text: str) -> tuple[str, ...]:
    """A command line in words; its program may be given relative to here."""
    program, *rest = shlex.split(text)
    return (str(Path(program).absolute()) if "/" in program else program, *rest)


async def measure(chosen: argparse.Namespace, scratch: Path) -> list[Result]:
    """Run the chosen cases, those that share their subjects together."""
    programs = Programs(peers_python=chosen.peers_python, gateway=chosen.gateway)
    pace = traffic.Pace(1.0, 2) if chosen.quick else traffic.Pace(chosen.seconds, chosen.rounds)
    picked = [case for case in traffic.CASES if not chosen.case or case.name in chosen.case]
    subjects = chosen.subjects.split(",")
    results = []
    for number, ((http, tools), cases) in enumerate(itertools.groupby(picked, lambda case: (case.http, case.tools))):
        stage = Stage(scratch / str(number), programs, tools=tools, http=http)
        results += await traffic.run(list(cases), stage, subjects, pace)
    for name, case in footprint.CASES.items():
        if not chosen.case or name in chosen.case:
            result = await case(scratch / name, programs, subjects, pace.rounds)
            print(result.text(), flush=True)
            results.append(result)
    return results


def surroundings() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


def main() -> int:
    """Measure, print, keep, judge."""
    chosen = options().parse_args()
    before = surroundings()
    print(
        f"Python {before['python']}, {before['cores']} cores, load {before['load'][0]:.1f} before the run", flush=True
    )
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            results = uvloop.run(measure(chosen, Path(scratch)))
    except SubjectFailedError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.json:
        kept = {"before": before, "results": [result.plain() for result in results]}
        chosen.json.write_text(json.dumps(kept, indent=1))
    missed = [result.case for result in results if not result.good]
    wrong = any(result.failures for result in results)
    if missed:
        print(f"not as it should be: {', '.join(missed)}")
    return 1 if wrong or (chosen.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
