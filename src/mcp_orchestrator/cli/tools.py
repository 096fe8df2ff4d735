"""`tools`: lists, shows and calls tools, through the running gateway or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from mcp_orchestrator.cli import arguments, results
from mcp_orchestrator.cli.actor import Actor
from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.loading import require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer, profile_option
from mcp_orchestrator.cli.printing import Printer, Style, safe, safe_json, safe_line
from mcp_orchestrator.cli.reach import act

_PIN_SHOWN: Final = 16


@click.group("tools")
@config_before
@format_option
def command() -> None:
    """List, show and call tools.

    A running gateway of the same configuration is asked; without one, the backends that are needed are started for
    this one command.
    """


@command.command("list")
@config_option
@profile_option
@format_option
def list_(config: Path | None, profile: str | None) -> int:
    """List the tools that clients see."""
    out = printer()
    configuration = require(config, out)

    async def work(actor: Actor) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        listed = await actor.ask("tools.list", {"profile": profile})
        return listed, await actor.ask("backends.list", {})

    listed, backends = act(configuration, out, work)
    tools = listed["tools"]
    missing = [line for line in backends if line["tools"] is None]
    rows = [[tool["public"], _first_line(tool)] for tool in tools]
    out.result(listed, out.table(["NAME", "DESCRIPTION"], rows) if rows else "")
    for line in missing:
        why = line.get("last_error") or f"nothing is known of it yet ({line['state']})"
        out.note(f"No tools of {safe_line(line['name'])}: {safe_line(str(why))}", Style.WARN)
    if not tools and missing:
        raise Ended(Exit.UNREACHABLE, "no backend could be reached", fix="mcp-orchestrator doctor")
    if not tools:
        out.note("There are no tools.")
    return Exit.DONE


@command.command("show")
@config_option
@profile_option
@format_option
@click.argument("name")
def show(config: Path | None, profile: str | None, name: str) -> None:
    """Show one tool: its arguments, where it comes from, its definition's hash.

    NAME is the public name, SERVER.TOOL, or the tool's own name where only one backend has it.
    """
    out = printer()
    found = act(require(config, out), out, lambda actor: actor.ask("tools.show", {"name": name, "profile": profile}))
    out.result(found, _described(found, out))


@command.command("call", context_settings={"ignore_unknown_options": False})
@config_option
@profile_option
@format_option
@click.option("--json", "json_text", metavar="JSON", help="All arguments as one object; @FILE and - read them.")
@click.argument("name")
@click.argument("words", metavar="[KEY=VALUE]...", nargs=-1)
def call(config: Path | None, profile: str | None, json_text: str | None, name: str, words: tuple[str, ...]) -> int:
    """Call a tool and print its result.

    KEY=VALUE is read by the tool's schema (numbers, booleans, text), KEY:=JSON is JSON, KEY=@FILE is the content of
    a file; a key given several times becomes an array. Exit code 5 when the tool reports an error.
    """
    out = printer()

    async def work(actor: Actor) -> dict[str, Any]:
        shown = await actor.ask("tools.show", {"name": name, "profile": profile}) if words else {}
        given = arguments.read(words, json_text, schema_of(shown))
        answer: dict[str, Any] = await actor.ask("tools.call", {"name": name, "arguments": given, "profile": profile})
        return answer

    return results.report(act(require(config, out), out, work, journal=True), out)


def schema_of(shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """The input schema in what `tools.show` answered; {} where there is none."""
    definition = shown.get("definition")
    schema = definition.get("inputSchema") if isinstance(definition, Mapping) else None
    return schema if isinstance(schema, Mapping) else {}


def _first_line(tool: Mapping[str, Any]) -> str:
    text = str(tool.get("description") or tool.get("title") or "").strip()
    return text.partition("\n")[0]


def _described(found: Mapping[str, Any], out: Printer) -> str:
    parts = [out.paint(safe_line(found["public"]), Style.STRONG)]
    description = found.get("description") or found.get("title")
    if description:
        parts.append(safe(str(description)).strip())
    facts = [["backend", found["backend"]], ["in rules", found["dotted"]], ["era", str(found.get("era", ""))]]
    facts.append(["pin", str(found.get("pin", ""))[:_PIN_SHOWN]])
    facts += [[key, safe_line(str(value))] for key, value in _hints(found["definition"]).items()]
    parts.append("\n".join(f"{key:<10} {safe_line(value)}" for key, value in facts))
    logical = found.get("logical")
    if isinstance(logical, Mapping):
        parts.append(_providers(logical, out))
    rows = _inputs(schema_of(found))
    parts.append(out.table(["ARGUMENT", "TYPE", "NEEDED", "DESCRIPTION"], rows) if rows else "It takes no arguments.")
    return "\n\n".join(parts)


def _providers(logical: Mapping[str, Any], out: Printer) -> str:
    rows = [
        [
            safe_line(one["tool"]),
            "" if one["offered"] else "not offered now",
            safe_line(one["when"]),
            str(one["weight"]),
            "" if one["price"] is None else f"{one['price'] / 1_000_000:g} USD",
            "yes" if one["repeatable"] else "",
        ]
        for one in logical["providers"]
    ]
    head = f"Providers ({logical['strategy']}):"
    return f"{head}\n{out.table(['PROVIDER', 'STATE', 'WHEN', 'WEIGHT', 'PRICE', 'REPEATABLE'], rows)}"


def _hints(definition: Mapping[str, Any]) -> dict[str, Any]:
    found = definition.get("annotations")
    return {key: value for key, value in found.items() if key != "title"} if isinstance(found, Mapping) else {}


def _inputs(schema: Mapping[str, Any]) -> list[Sequence[str]]:
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, Mapping):
        return []
    needed = required if isinstance(required, list) else []
    return [[name, _kind(rule), "yes" if name in needed else "", _about(rule)] for name, rule in properties.items()]


def _kind(rule: Any) -> str:
    if not isinstance(rule, Mapping):
        return "any"
    declared = rule.get("type")
    if isinstance(declared, list):
        return " or ".join(str(kind) for kind in declared)
    if isinstance(declared, str):
        return f"{declared} of {_kind(rule['items'])}" if declared == "array" and "items" in rule else declared
    choices = rule.get("anyOf") or rule.get("oneOf")
    if isinstance(choices, list):
        return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
    return str(rule["$ref"]).rpartition("/")[2] if "$ref" in rule else "any"


def _about(rule: Any) -> str:
    if not isinstance(rule, Mapping):
        return ""
    text = " ".join(str(rule.get("description") or "").split())
    if isinstance(rule.get("enum"), list):
        text += f" One of {', '.join(str(value) for value in rule['enum'])}."
    if "default" in rule:
        text += f" Default: {safe_json(rule['default'])}."
    return text.strip()
