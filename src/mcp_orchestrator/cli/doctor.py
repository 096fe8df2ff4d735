"""`doctor`: looks for what is wrong on this machine, and says how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.options import config_option, format_option, printer
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_line

if TYPE_CHECKING:
    from mcp_orchestrator.cli.checkup import Finding

_STYLES = {"ok": Style.GOOD, "warning": Style.WARN, "problem": Style.BAD}


@click.command("doctor")
@config_option
@format_option
@click.option("--no-start", is_flag=True, help="Do not start or contact any backend.")
def command(config: Path | None, no_start: bool) -> int:
    """Look for what is wrong on this machine, and say how to mend it.

    Python, configuration, state file, port, the running gateway; then every backend is opened once: is its program
    there, does it answer, in which eras, how fast. The exit code is 2 when the gateway could not start, else 3 or 4
    when a backend wants a sign-in or cannot be reached, else 0.
    """
    from mcp_orchestrator.cli import checkup  # noqa: PLC0415 - help must not pay for it

    out = printer()
    findings: list[Finding] = []

    def tell(found: Iterable[Finding]) -> None:
        for finding in found:
            findings.append(finding)
            if not out.json:
                out.line(_lines(finding, out))

    checkup.examine(config, tell, start=not no_start)
    code = _worst(findings)
    summary = {"ok": code == Exit.DONE, "exit": int(code), "findings": [finding.as_json() for finding in findings]}
    problems = sum(finding.status == "problem" for finding in findings)
    noun = "problem" if problems == 1 else "problems"
    out.result(summary, f"\n{problems} {noun}." if problems else "\nAll is well.")
    return code


def _worst(findings: Sequence[Finding]) -> Exit:
    """Usage before sign-in before unreachable: what stands in the way of everything comes first."""
    codes = {finding.code for finding in findings if finding.status == "problem"}
    return next((code for code in (Exit.USAGE, Exit.SIGN_IN, Exit.UNREACHABLE) if code in codes), Exit.DONE)


def _lines(finding: Finding, out: Printer) -> str:
    word = out.paint(f"{finding.status:<8}", _STYLES[finding.status])
    text = f"{word} {safe_line(finding.area)}: {safe(finding.text)}"
    return f"{text}\n         Fix: {safe(finding.fix)}" if finding.fix else text
