"""`plan`: explains where a call would go and why, without making it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import arguments
from mcp_orchestrator.cli.actor import Actor
from mcp_orchestrator.cli.exits import Ended, Exit, bad_usage, of_failure
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_option, format_option, printer, profile_option
from mcp_orchestrator.cli.printing import Printer, Style, safe_line
from mcp_orchestrator.cli.reach import act, act_on_running, is_running
from mcp_orchestrator.cli.reasons import reason_lines
from mcp_orchestrator.config.sections import OWN_TOOLS
from mcp_orchestrator.model.snapshot import Snapshot, StartPolicy

if TYPE_CHECKING:
    from mcp_orchestrator.cli.remembered import Memory


@click.command("plan")
@click.option("--call", "tool", metavar="TOOL", required=True, help="The tool that would be called.")
@click.option("--json", "json_text", metavar="JSON", help="All arguments as one object; @FILE and - read them.")
@click.option(
    "--as", "who", metavar="WHO", help="As this caller would: local:ada, token:ci, anonymous (default: who runs this)."
)
@config_option
@profile_option
@format_option
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
def command(  # noqa: PLR0917 - click names them all
    tool: str, json_text: str | None, who: str | None, config: Path | None, profile: str | None, words: tuple[str, ...]
) -> int:
    """Explain where a call would go and why, without making it.

    The running gateway is asked; without one, what is remembered of the backends is enough, and only backends of
    which nothing is known yet are started. The exit code is that of a refusal (2 or 6), or 0.
    """
    out = printer()
    found = _planned(require(config, out), out, _Question(tool, json_text, profile, words, who))
    out.result(found, _text(found, out))
    if found["from"] == "memory":
        out.note("From what is remembered of the backends; no gateway is running and nothing was started.", Style.FAINT)
    return _exit(found)


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    tool: str
    json_text: str | None
    profile: str | None
    words: Sequence[str]
    who: str | None = None

    async def put(self, actor: Actor) -> dict[str, Any]:
        view = {"name": self.tool, "profile": self.profile}
        try:
            shown = await actor.ask("tools.show", view) if self.words else {}
        except Ended as ended:
            if ended.code is not Exit.USAGE:
                raise
            shown = {}  # an unknown tool: the plan itself says so, with its reasons
        given = self.given(shown.get("definition"))
        found: dict[str, Any] = await actor.ask("plan", {**view, "as": self.who, "arguments": given})
        return found

    def remembered(self, memory: Memory, snapshot: Snapshot) -> dict[str, Any] | None:
        """The plan from memory; None where a backend that is not known yet could change it."""
        if self.profile is not None and self.profile not in snapshot.profiles:
            bad_usage(f"no profile named '{self.profile}'", f"there are: {', '.join(snapshot.profiles) or 'none'}")
        prepared = memory.catalog(self.profile).tool(self.tool)
        if prepared is None and (memory.unknown or (self.tool in OWN_TOOLS and snapshot.agents)):
            return None
        definition = prepared.offer.definition if prepared is not None else None
        return memory.plan(self.tool, self.given(definition), self.profile, self.who)

    def given(self, definition: Any) -> dict[str, Any]:
        """The arguments, read by the schema of the definition."""
        schema = definition.get("inputSchema") if isinstance(definition, Mapping) else None
        return arguments.read(self.words, self.json_text, schema if isinstance(schema, Mapping) else {})


def _planned(configuration: Configuration, out: Printer, question: _Question) -> dict[str, Any]:
    if is_running(configuration):
        return {**act_on_running(configuration, question.put), "from": "gateway"}
    from mcp_orchestrator.cli.remembered import recall  # noqa: PLC0415 - a running gateway needs no memory

    memory = recall(configuration.snapshot)
    found = question.remembered(memory, configuration.snapshot)
    if found is not None:
        return {**found, "from": "memory"}
    unknown = ", ".join(map(safe_line, memory.unknown)) or "the gateway itself, for its own tools"
    out.note(f"Starting what is not known yet: {unknown}", Style.FAINT)
    lazy = dataclasses.replace(configuration, snapshot=_lazy(configuration.snapshot))
    return {**act(lazy, out, question.put), "from": "started"}


def _lazy(snapshot: Snapshot) -> Snapshot:
    """The same, with no backend started that is known already."""
    backends = {name: dataclasses.replace(spec, start=StartPolicy.LAZY) for name, spec in snapshot.backends.items()}
    return dataclasses.replace(snapshot, backends=backends)


def _text(found: Mapping[str, Any], out: Printer) -> str:
    target = found["target"]
    if target is not None:
        head = (
            f"Goes to {safe_line(target['backend'])}, as {safe_line(target['name'])}; at most {target['timeout']:g} s."
        )
        head = out.paint(head, Style.GOOD)
    else:
        head = out.paint("Is refused; nothing would be sent.", Style.BAD)
    return "\n".join([head, "", *reason_lines(found["reasons"])])


def _exit(found: Mapping[str, Any]) -> int:
    refusal = found["refusal"]
    if refusal is None:
        return Exit.DONE
    error = refusal.get("error", refusal)
    return of_failure(str(error.get("kind", "")))
