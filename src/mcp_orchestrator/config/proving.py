"""Proves at load what can be proved of mapped arguments and results: names, types, and that nothing needed is missing.

Against the tool's own schemas always; against those of servers as far as they are remembered from when they were last
seen. What cannot be proved is checked when a call is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import Node, Place, Scalar, Table, locate
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.plain_values import inner, tables_of
from mcp_orchestrator.config.policies import within
from mcp_orchestrator.config.schema_kinds import fits, part_at, types_of, value_faults
from mcp_orchestrator.config.typed import Typed
from mcp_orchestrator.core.conditions import Conditions, Wrong
from mcp_orchestrator.core.mapping import CALLER, HOLE, PLAIN, RESULT
from mcp_orchestrator.core.overrides import overridden
from mcp_orchestrator.model.routing import ArgumentSource, LogicalTool, Override, Provider, ResultShape
from mcp_orchestrator.model.snapshot import Snapshot

Remembered = Callable[[str], "Collection[Mapping[str, Any]] | None"]
"""The tools that a server offered when it was last seen; None when nothing is remembered of it."""


Say = Callable[[Code, str, Place, str], None]
"""Notes a problem."""


def prove(root: Table, snapshot: Snapshot, notes: Notes, remembered: Remembered, *, strict: bool) -> None:
    """Note everything that can be shown to be wrong with `tools` and `overrides`.

    What speaks against a server as it was last seen is an error if `strict`, else a warning: the server may have changed
    since, and a gateway that would not start for it could never see that.
    """
    known = _Known(snapshot, remembered, notes.error if strict else notes.warn)
    for tool, override in snapshot.overrides.items():
        _prove_override(root, tool, override, known)
    conditions = Conditions()
    for name, logical in snapshot.tools.items():
        node = inner(root, "tools", name)
        nodes = tables_of(inner(node, "providers"))
        for provider, part in zip(logical.providers, nodes, strict=False):
            _Proof(logical, provider, part, notes, known, conditions).run()
    for server in known.missing:
        message = f"nothing is remembered of server {shown(server)}: what is mapped to its tools is not proved"
        notes.note(
            Code.NOT_PROVED,
            message,
            locate(root, *known.missing[server]),
            "serve once: from then on it is remembered what servers offer",
        )


class _Known:
    """The tools of servers as far as they are remembered. `missing`: servers that were asked for in vain, and where.

    `say` notes what speaks against one of them.
    """

    def __init__(self, snapshot: Snapshot, remembered: Remembered, say: Say) -> None:
        self.say = say
        self._snapshot = snapshot
        self._remembered = remembered
        self.missing: dict[str, tuple[str, ...]] = {}

    def names(self, server: str, path: tuple[str, ...]) -> dict[str, Mapping[str, Any]] | None:
        """Definitions by the server's own names; None when nothing is remembered."""
        if server not in self._snapshot.backends:
            return None
        tools = self._remembered(server)
        if tools is None:
            self.missing.setdefault(server, path)
            return None
        return {str(tool.get("name")): tool for tool in tools}

    def shaped(self, dotted: str, tools: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The definition of a tool as `overrides` leave it."""
        own = tools.get(dotted.partition(".")[2])
        override = self._snapshot.overrides.get(dotted)
        return own if own is None or override is None else overridden(own, override)


def _offered(tool: str, tools: Mapping[str, Any], say: Say, place: Place, whose: str) -> bool:
    server, _, name = tool.partition(".")
    if name in tools:
        return True
    message = (
        f"{whose} names {shown(tool)}, but server {shown(server)}, as it was last seen, offers no tool {shown(name)}"
    )
    say(Code.UNKNOWN_TOOL, message, place, did_you_mean(name, list(tools)) if tools else "it offers none")
    return False


def _schema(definition: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = definition.get(key)
    return found if isinstance(found, Mapping) else {}


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether a schema says that it takes more than the properties that it names, or names none at all."""
    if "properties" not in schema:
        return True
    more = schema.get("additionalProperties")
    return more is True or isinstance(more, Mapping) or bool(schema.get("patternProperties"))


def _prove_override(root: Table, tool: str, override: Override, known: _Known) -> None:
    path = ("overrides", tool)
    tools = known.names(tool.partition(".")[0], path)
    if tools is None or not _offered(tool, tools, known.say, locate(root, *path), "overrides"):
        return
    name = tool.partition(".")[2]
    if override.name and override.name != name and override.name in tools:
        message = f"{tool} is to be called {shown(override.name)}, which is another tool of the same server"
        known.say(Code.TOOL_NAME_TAKEN, message, locate(root, *path, "name"), "choose another name")
    schema = _schema(tools[name], "inputSchema")
    for argument in override.arguments:
        _prove_argument(root, override, argument, schema, known.say)


def _prove_argument(root: Table, override: Override, argument: str, schema: Mapping[str, Any], say: Say) -> None:
    tool, rule, properties = override.tool, override.arguments[argument], _properties(schema)
    path = ("overrides", tool, "arguments", argument)
    place = locate(root, *path)
    if argument not in properties:
        if not _is_open(schema):
            fix = did_you_mean(argument, list(properties)) if properties else "it has none"
            say(Code.UNKNOWN_ARGUMENT, f"{tool} has no argument {shown(argument)}", place, fix)
        return
    other = override.arguments.get(rule.rename)
    gone = other is not None and bool(other.rename or other.hide or other.const)
    if rule.rename in properties and rule.rename != argument and not gone:
        message = (
            f"argument {shown(argument)} of {tool} is to be called {shown(rule.rename)}, which is another one's name"
        )
        say(Code.TOOL_NAME_TAKEN, message, place, "choose another name")
    if rule.hide and not (rule.const or rule.default) and argument in _required(schema):
        message = f"argument {shown(argument)} of {tool} is required, and hidden without a value"
        say(Code.LACKING_ARGUMENT, message, place, "give it a const or a default")
    for key, value in (("const", rule.const), ("default", rule.default)):
        faults = value_faults(schema, argument, value[0]) if value else []
        if faults:
            message = f"{key} of argument {shown(argument)} does not fit its schema: {faults[0]}"
            say(Code.ILL_TYPED, message, locate(root, *path, key), "mend the value")


@dataclass(frozen=True, slots=True)
class _Proof:
    """One provider of one logical tool."""

    logical: LogicalTool
    provider: Provider
    node: Table
    notes: Notes
    known: _Known
    conditions: Conditions

    def run(self) -> None:
        tool, place = self.provider.tool, locate(self.node, "tool")
        self._when()
        path = ("tools", self.logical.name)
        tools = self.known.names(tool.partition(".")[0], path)
        definition: Mapping[str, Any] | None = None
        if tools is not None and _offered(tool, tools, self.known.say, place, f"tool {self.logical.name}"):
            definition = self.known.shaped(tool, tools)
        schema = _schema(definition, "inputSchema") if definition is not None else None
        sent = dict(self._passed(schema)) | dict(self._mapped(schema))
        if schema is not None:
            self._needed(schema, sent)
        if self.provider.result is not None:
            self._result(self.provider.result, definition)

    # -- arguments ------------------------------------------------------------------------------------------------

    def _when(self) -> None:
        if self.provider.when:
            node = self.node.get("when")
            made = self.conditions.compile(self.provider.when, CALLER)
            if isinstance(made, Wrong):
                self._wrong(made, node, "when")
            else:
                self._typed(self.provider.when, node, "when")

    def _passed(self, schema: Mapping[str, Any] | None) -> Iterator[tuple[str, bool]]:
        """Arguments that pass, by the provider's names, and whether they are always there."""
        ours = self.logical.input_schema
        properties, provider = _properties(ours), self.provider
        for key, names in (("rename", list(provider.rename)), ("drop", list(provider.drop))):
            for name in names:
                if name not in properties and not _is_open(ours):
                    place = locate(self.node, key, name) if key == "rename" else locate(self.node, key)
                    message = f"{self.logical.name} has no argument {shown(name)}"
                    self._unknown(message, name, properties, place, self.notes.error)
        if not provider.passes:
            return
        for name, part in properties.items():
            if name in provider.drop:
                continue
            theirs = provider.rename.get(name, name)
            if theirs in (provider.arguments or {}):
                continue
            yield theirs, name in _required(ours)
            place = locate(self.node, "rename", name) if name in provider.rename else locate(self.node, "tool")
            if schema is not None and self._has(schema, theirs, place, passed=name):
                self._suits(types_of(part, ours), schema, theirs, place, f"argument {shown(name)}")

    def _mapped(self, schema: Mapping[str, Any] | None) -> Iterator[tuple[str, bool]]:
        table = self.node.get("arguments")
        for name, source in (self.provider.arguments or {}).items():
            node = table.get(name) if isinstance(table, Table) else None
            place = locate(self.node, "arguments", name)
            has = schema is not None and self._has(schema, name, place)
            if has and schema is not None:
                for key, value in (("const", source.const), ("default", source.default)):
                    faults = value_faults(schema, name, value[0]) if value else []
                    if faults:
                        message = f"{key} of argument {shown(name)} does not fit {self.provider.tool}: {faults[0]}"
                        self.known.say(Code.ILL_TYPED, message, place, "mend the value")
            yield name, self._source(name, source, node, schema if has else None)

    def _source(self, name: str, source: ArgumentSource, node: Node | None, schema: Mapping[str, Any] | None) -> bool:
        """Whether the argument is always there."""
        if source.const:
            return True
        text = inner(node, "from") if isinstance(node, Table) else node
        made = self.conditions.compile(source.expression, CALLER, wants=None)
        if isinstance(made, Wrong):
            self._wrong(made, text, f"argument {name}")
            return True
        kinds = self._typed(source.expression, text, f"argument {name}")
        if schema is not None:
            place = text.start if text is not None else locate(self.node, "arguments", name)
            self._suits(kinds, schema, name, place, shown(source.expression))
        return bool(source.default) or not self._may_be_absent(source.expression)

    def _typed(self, text: str, node: Node | None, what: str) -> frozenset[str] | None:
        """The types that an expression may give, by the types of our own arguments; None: not known."""
        found = Typed(self.logical.input_schema, self.conditions).kinds(text)
        if isinstance(found, Wrong):
            self._wrong(found, node, what)
            return None
        return found

    def _may_be_absent(self, text: str) -> bool:
        found = PLAIN.fullmatch(text.strip())
        if found is None or found[1] != "args":
            return False
        first = found[2].lstrip(".").partition(".")[0].strip('["]')
        return first not in _required(self.logical.input_schema)

    def _needed(self, schema: Mapping[str, Any], sent: Mapping[str, bool]) -> None:
        for name in _required(schema):
            place = locate(self.node, "arguments", name) if name in sent else locate(self.node, "tool")
            if name not in sent:
                message = f"{self.provider.tool} requires the argument {shown(name)}, and nothing is mapped to it"
                fix = f"map it under arguments: {name}: EXPRESSION, or {name}: {{const: VALUE}}"
                self.known.say(Code.LACKING_ARGUMENT, message, place, fix)
            elif not sent[name]:
                message = f"{self.provider.tool} requires the argument {shown(name)}, which comes from one that may be left out"
                fix = "give it a default: {from: EXPRESSION, default: VALUE}"
                self.notes.warn(Code.LACKING_ARGUMENT, message, place, fix)

    def _has(self, schema: Mapping[str, Any], name: str, place: Place, *, passed: str = "") -> bool:
        properties = _properties(schema)
        if name in properties:
            return True
        if not _is_open(schema):
            message = f"{self.provider.tool} has no argument {shown(name)}"
            if passed:
                message += f", as which {shown(passed)} would pass"
            self._unknown(message, name, properties, place, self.known.say)
        return False

    @staticmethod
    def _unknown(message: str, name: str, properties: Mapping[str, Any], place: Place, say: Say) -> None:
        fix = did_you_mean(name, list(properties)) if properties else "there are none"
        say(Code.UNKNOWN_ARGUMENT, message, place, fix)

    def _suits(
        self, kinds: frozenset[str] | None, schema: Mapping[str, Any], name: str, place: Place, what: str
    ) -> None:
        wanted = types_of(_properties(schema)[name], schema)
        if kinds is not None and wanted is not None and not fits(kinds, wanted):
            message = f"{what} is {_words(kinds)}, but {shown(name)} of {self.provider.tool} is {_words(wanted)}"
            self.known.say(Code.ILL_TYPED, message, place, "convert it, for instance with string(...) or int(...)")

    # -- results --------------------------------------------------------------------------------------------------

    def _result(self, shape: ResultShape, definition: Mapping[str, Any] | None) -> None:
        table = inner(self.node, "result", "structured")
        output = self.logical.output_schema
        theirs = _schema(definition, "outputSchema") if definition is not None else {}
        if isinstance(shape.structured, str):
            if shape.structured:
                self._gives(shape.structured, table, "structured", theirs)
        else:
            for name, text in shape.structured.items():
                node = table.get(name) if isinstance(table, Table) else None
                kinds = self._gives(text, node, f"structured.{name}", theirs)
                self._promised(name, kinds, node)
            for name in _required(output) if output is not None else ():
                if name not in shape.structured:
                    message = f"outputSchema of {self.logical.name} requires {shown(name)}, and nothing is mapped to it"
                    place = locate(self.node, "result", "structured")
                    self.notes.error(Code.LACKING_ARGUMENT, message, place, f"give {name} under structured")
        if output is not None and not shape.structured:
            message = f"{self.logical.name} promises a structured result, and this one has text alone"
            self.notes.error(Code.LACKING_ARGUMENT, message, locate(self.node, "result"), "give structured as well")
        for text in HOLE.findall(shape.text):
            self._gives(text, inner(self.node, "result", "text"), "text", theirs, within_text=True)
        left = HOLE.sub("", shape.text)
        if "{{" in left or "}}" in left:
            place = locate(self.node, "result", "text")
            message = f"text of {self.provider.tool} for {self.logical.name} has a brace that is not closed or opened"
            self.notes.error(Code.BAD_MAPPING, message, place, "write {{EXPRESSION}}")

    def _promised(self, name: str, kinds: frozenset[str] | None, node: Node | None) -> None:
        output = self.logical.output_schema
        if output is None:
            return
        place = node.start if node is not None else locate(self.node, "result", "structured")
        properties = _properties(output)
        if name not in properties:
            if properties and not _is_open(output):
                message = f"outputSchema of {self.logical.name} has no {shown(name)}"
                self._unknown(message, name, properties, place, self.notes.error)
            return
        wanted = types_of(properties[name], output)
        if kinds is not None and wanted is not None and not fits(kinds, wanted):
            message = (
                f"{shown(name)} is {_words(kinds)}, but {_words(wanted)} in the outputSchema of {self.logical.name}"
            )
            self.notes.error(Code.ILL_TYPED, message, place, "mend the expression or the schema")

    def _gives(
        self, text: str, node: Node | None, what: str, theirs: Mapping[str, Any], *, within_text: bool = False
    ) -> frozenset[str] | None:
        made = self.conditions.compile(text, RESULT, wants=None)
        if isinstance(made, Wrong):
            self._wrong(made, None if within_text else node, f"result.{what}", fallback=node)
            return None
        found = PLAIN.fullmatch(text.strip())
        if found is None:
            return Typed.of_kind(made.kind)
        if found[1] == "result.structured" and theirs:
            part = part_at(theirs, found[2])
            if isinstance(part, str):
                message = f"result.{what}: the structured result of {self.provider.tool} has no {shown(part)}"
                place = node.start if node is not None else locate(self.node, "result")
                self.known.say(Code.UNKNOWN_ARGUMENT, message, place, "look it up: mcp-orchestrator tools show")
                return None
            return types_of(part, theirs) if part is not None else None
        if found[1] == "args":
            return self._typed(text, node, f"result.{what}")
        return Typed.of_kind(made.kind)

    def _wrong(self, wrong: Wrong, node: Node | None, what: str, fallback: Node | None = None) -> None:
        if isinstance(node, Scalar):
            place = within(self.notes.text, node, wrong)
        else:
            place = fallback.start if fallback is not None else self.node.start
        message = f"{what} of {self.provider.tool} for {self.logical.name}: {wrong.message}"
        self.notes.error(Code.BAD_MAPPING, message, place, wrong.fix or "mend the expression")


_ARTICLES: Final = {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}


def _words(kinds: Collection[str]) -> str:
    return " or ".join(_ARTICLES.get(kind, f"a {kind}") for kind in sorted(kinds))
