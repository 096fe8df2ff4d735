"""Reads `tools`: logical tools with their providers; what can be proved without any server is proved here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import Node, Place, Scalar, Table, is_empty, locate
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.overrides import known_server
from mcp_orchestrator.config.plain_values import inner, read_value, tables_of
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.sections import OWN_TOOLS
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.model.routing import ArgumentSource, LogicalTool, Provider, ResultShape, Strategy


def read_tools(
    root: Table, checked: Mapping[str, Any], references: References, servers: Collection[str]
) -> dict[str, LogicalTool]:
    """All usable logical tools in order. One with an error is left out (the file is refused anyway)."""
    found: dict[str, LogicalTool] = {}
    for name, values in checked.items():
        node = inner(root, "tools", name)
        place = locate(root, "tools", name)
        table = node if isinstance(node, Table) else Table({}, place, place)
        made = _Tool(name, table, values, references, servers).read(place)
        if made is not None:
            found[name] = made
    return found


class _Tool:
    """One logical tool being read."""

    def __init__(
        self, name: str, node: Table, values: Mapping[str, Any], references: References, servers: Collection[str]
    ) -> None:
        self._name = name
        self._node = node
        self._values = values
        self._references = references
        self._notes = references.notes
        self._servers = servers
        self._place = node.start

    def read(self, place: Place) -> LogicalTool | None:
        self._place = place
        values = self._values
        if self._name in OWN_TOOLS:
            message = f"the gateway has a tool of its own that is called {shown(self._name)}"
            self._notes.error(Code.TOOL_NAME_TAKEN, message, self._place, "rename the logical tool")
        schema = self._schema("inputSchema")
        output = self._schema("outputSchema")
        providers = self._providers()
        if schema is None:
            return None
        strategy = Strategy(values.get("strategy", Strategy.FAILOVER))
        self._report_useless(strategy)
        eject = values.get("eject", {})
        optional = {
            "timeout": values.get("timeout"),
            "eject_after": eject.get("failures"),
            "eject_for": eject.get("for"),
        }
        return LogicalTool(
            self._name,
            values.get("description", ""),
            schema,
            providers,
            title=values.get("title", ""),
            output_schema=output,
            annotations=dict(values.get("annotations", {})),
            labels=tuple(dict.fromkeys(values.get("labels", ()))),
            strategy=strategy,
            by=values.get("by", "caller"),
            next_on_error=values.get("onToolError") == "next",
            where=self._where(self._place),
            **{key: value for key, value in optional.items() if value is not None},
        )

    def _where(self, place: Place) -> str:
        return f"{self._notes.file}:{place.line}"

    def _schema(self, key: str) -> Mapping[str, Any] | None:
        node: Node | None = self._values.get(key)
        if node is None:
            if key == "inputSchema" and key not in self._node.entries:
                message = f"tool {shown(self._name)} has no inputSchema"
                fix = "give one: {type: object, properties: {...}}"
                self._notes.error(Code.LACKING_KEY, message, self._place, fix)
            return None
        schema = read_value(node, self._references)
        place = locate(self._node, key)
        if not isinstance(schema, dict):
            self._notes.error(Code.BAD_SCHEMA, f"{key} of {self._name} must be a mapping", place, "write a JSON Schema")
            return None
        if key == "inputSchema" and schema.setdefault("type", "object") != "object":
            message = f"{key} of {self._name} must be of type object, not {shown(str(schema['type']))}"
            self._notes.error(Code.BAD_SCHEMA, message, place, "write type: object")
        why = Checker(schema).unusable
        if why:
            self._notes.error(Code.BAD_SCHEMA, f"{key} of {self._name}: {why}", place, "mend the schema")
        return schema

    def _report_useless(self, strategy: Strategy) -> None:
        if "by" in self._values and strategy not in (Strategy.WEIGHTED, Strategy.STICKY):
            place = locate(self._node, "by")
            message = f"by of tool {self._name} means nothing for the strategy {strategy}"
            self._notes.error(Code.USELESS_KEY, message, place, "remove it; it is for weighted and sticky")

    def _providers(self) -> tuple[Provider, ...]:
        values = self._values.get("providers", [])
        nodes = tables_of(inner(self._node, "providers"))
        if not values and "providers" in self._values:
            message = f"tool {shown(self._name)} has no provider"
            self._notes.error(Code.LACKING_KEY, message, self._place, "name one under providers")
        if len(nodes) != len(values):
            return ()  # one of them could not be read, which was noted
        made = (self._provider(part, node) for part, node in zip(values, nodes, strict=True))
        return tuple(one for one in made if one is not None)

    def _provider(self, values: Mapping[str, Any], node: Table) -> Provider | None:
        tool = values.get("tool")
        if tool is None:
            return None
        known_server(tool, self._servers, self._references, locate(node, "tool"), f"tool {self._name}")
        return Provider(
            tool,
            when=values.get("when", ""),
            arguments=self._sources(values.get("arguments")),
            rename=dict(values.get("rename", {})),
            drop=tuple(values.get("drop", ())),
            result=self._result(values["result"]) if values.get("result") else None,
            weight=values.get("weight", 1),
            price=values.get("price"),
            repeatable=bool(values.get("readOnly") or values.get("idempotent")),
            max_concurrent=values.get("maxConcurrent"),
            timeout=values.get("timeout"),
            where=self._where(node.start),
        )

    def _sources(self, node: Node | None) -> dict[str, ArgumentSource] | None:
        if node is None or is_empty(node):
            return None if node is None else {}
        if not isinstance(node, Table):
            self._wrong(node, "arguments", "names with expressions")
            return None
        made = {name: self._source(name, entry.value) for name, entry in node.entries.items()}
        return {name: one for name, one in made.items() if one is not None}

    def _source(self, name: str, node: Node) -> ArgumentSource | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return ArgumentSource(node.text)
        keys = set(node.entries) if isinstance(node, Table) else set()
        expression = inner(node, "from")
        right = isinstance(expression, Scalar) and isinstance(expression.value, str)
        if not keys or keys - {"from", "const", "default"} or ("from" in keys and not right):
            self._wrong(
                node, f"arguments.{name}", "a CEL expression, {const: VALUE}, or {from: EXPRESSION, default: VALUE}"
            )
            return None
        if "const" in keys and len(keys) > 1:
            self._wrong(node, f"arguments.{name}", "const alone, or from and default")
            return None
        const, default = inner(node, "const"), inner(node, "default")
        text = expression.text if isinstance(expression, Scalar) else ""
        if not text and default is not None:
            text = (
                f"args.{name}" if name.isidentifier() else f'args["{name}"]'
            )  # a default alone is for the argument of the same name
        return ArgumentSource(
            text,
            () if const is None else (read_value(const, self._references),),
            () if default is None else (read_value(default, self._references),),
        )

    def _wrong(self, node: Node, key: str, expected: str) -> None:
        message = f"{key} of a provider of {shown(self._name)} must be {expected}"
        self._notes.error(Code.WRONG_TYPE, message, node.start, f"write {expected}")

    def _result(self, values: Mapping[str, Any]) -> ResultShape:
        node: Node | None = values.get("structured")
        structured: Mapping[str, str] | str = ""
        if isinstance(node, Scalar) and isinstance(node.value, str):
            structured = node.text
        elif isinstance(node, Table) and node.entries:
            entries = node.entries.items()
            structured = {key: one.value.text for key, one in entries if isinstance(one.value, Scalar)}
            for one in node.entries.values():
                if not isinstance(one.value, Scalar):
                    self._wrong(one.value, f"result.structured.{one.key}", "a CEL expression")
        elif node is not None:
            self._wrong(node, "result.structured", "fields with CEL expressions, or one expression")
        return ResultShape(structured, values.get("text", ""))
