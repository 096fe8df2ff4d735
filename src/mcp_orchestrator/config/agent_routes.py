"""Reads the routes of a checked file, and refuses those that could never be carried out as they are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, is_empty, plain
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.policies import within
from mcp_orchestrator.core.agent_routes import VARIABLES, trouble
from mcp_orchestrator.core.conditions import Conditions, Wrong
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.model.agent_routes import AgentRoute, Order, RouteMatch, Then, Verify

_EVERYTHING: Final = RouteMatch()


def read_routes(
    root: Table, checked: Sequence[Mapping[str, Any]], agents: Sequence[str], notes: Notes
) -> tuple[AgentRoute, ...]:
    """All routes that are right, in the order of the file; `agents` are those there are. Problems go to the notes."""
    section = root.get("routes")
    nodes = [item for item in section.items if isinstance(item, Table)] if isinstance(section, Listing) else []
    conditions = Conditions()
    routes: list[AgentRoute] = []
    places: dict[str, Place] = {}
    for node, values in zip(nodes, checked, strict=False):
        reader = _Reader(node, values, notes, conditions, agents)
        route = reader.read()
        if route is None:
            continue
        if route.id in places:
            message = (
                f"there are two routes with the id {shown(route.id)}: the other is in line {places[route.id].line}"
            )
            notes.error(Code.DUPLICATE_ID, message, reader.place("id"), "give each route a name of its own")
        _report_unreachable(route, routes, reader.place("id"), notes)
        places.setdefault(route.id, node.start)
        routes.append(route)
    return tuple(routes)


def _report_unreachable(route: AgentRoute, before: Sequence[AgentRoute], place: Place, notes: Notes) -> None:
    for other in before:
        if not other.when and other.match in (_EVERYTHING, route.match):
            takes = "everything" if other.match == _EVERYTHING else "the same"
            message = f"route {shown(route.id)} is never reached: route {shown(other.id)} before it takes {takes}"
            notes.warn(Code.UNREACHABLE_ROUTE, message, place, "put it before that one, or remove it")
            return


class _Reader:
    """One route being read."""

    def __init__(
        self, node: Table, values: Mapping[str, Any], notes: Notes, conditions: Conditions, agents: Sequence[str]
    ) -> None:
        self._node = node
        self._values = values
        self._notes = notes
        self._conditions = conditions
        self._agents = agents
        self._name = shown(str(values.get("id", "without an id")))

    def place(self, key: str) -> Place:
        """Where a key stands; the route's own place when it is not there."""
        entry = self._node.entries.get(key)
        return self._node.start if entry is None else entry.start

    def read(self) -> AgentRoute | None:
        """The route; None where something is missing that it cannot be without."""
        values = self._values
        to = self._to()
        match = self._match(values.get("match", {}))
        when = self._when(values.get("when", ""))
        verify = self._verify(values.get("verify"))
        self._report_useless(to)
        if "id" not in values or not to:
            return None
        on = {f"on_{key}": Then(word) for key, word in values.get("on", {}).items()}
        return AgentRoute(
            values["id"],
            to,
            match,
            when,
            Order(values.get("strategy", Order.ORDER)),
            verify=verify,
            escalate=values.get("escalate", False),
            compare=values.get("compare", 0),
            where=f"{self._notes.file}:{self._node.start.line}",
            **on,
        )

    def _to(self) -> tuple[str, ...]:
        to = tuple(self._values.get("to", ()))
        if not to and is_empty(self._node.get("to")):
            message = f"route {self._name} has no agents: nobody would take what it is for"
            self._notes.error(Code.LACKING_KEY, message, self.place("to"), "give to: [AGENT, ...]")
        for name in to:
            if name not in self._agents:
                fix = did_you_mean(name, self._agents) if self._agents else "add it under agents"
                message = f"route {self._name}: there is no agent {shown(name)}"
                self._notes.error(Code.UNKNOWN_AGENT, message, self._item("to", name), fix)
        for name in dict.fromkeys(one for one in to if to.count(one) > 1):
            message = f"route {self._name} names agent {shown(name)} twice"
            self._notes.error(Code.USELESS_KEY, message, self._item("to", name), "remove one of the two")
        return to

    def _match(self, values: Mapping[str, Any]) -> RouteMatch:
        mode = values.get("mode", "")
        lists = {name: tuple(value) for name, value in values.items() if name != "mode"}
        match = RouteMatch(**lists, mode=str(mode))
        wrong = trouble(match)
        if wrong is not None:
            pattern, why = wrong
            message = f"route {self._name}: {shown(pattern)} is no regular expression (RE2): {why}"
            place = self._item("task", pattern, within_match=True)
            self._notes.error(Code.BAD_EXPRESSION, message, place, "mend the expression")
            return RouteMatch(**{**lists, "task": ()}, mode=str(mode))
        return match

    def _when(self, text: str) -> str:
        if "when" not in self._values:
            return ""
        made = self._conditions.compile(text, VARIABLES)
        if not isinstance(made, Wrong):
            return text.strip()
        node = self._node.get("when")
        place = within(self._notes.text, node, made) if isinstance(node, Scalar) else self.place("when")
        message = f"route {self._name}: {made.message}"
        self._notes.error(Code.BAD_CONDITION, message, place, made.fix or "mend the condition")
        return ""

    def _verify(self, values: Mapping[str, Any] | None) -> Verify | None:
        if values is None:
            return None
        node = self._node.get("verify")
        command = tuple(values.get("command", ()))
        place = self.place("verify")
        if "command" in values and not command:
            self._notes.error(Code.LACKING_KEY, f"route {self._name} verifies with no command", place, "give a program")
        if "timeout" in values and not command:
            message = f"route {self._name}: timeout means nothing without a command"
            self._notes.error(Code.USELESS_KEY, message, place, "remove it, or give command")
        held = node.get("schema") if isinstance(node, Table) else None
        schema = self._schema(held) if held is not None else None
        plainly = {"timeout": values["timeout"]} if "timeout" in values else {}
        return Verify(command, schema=schema, **plainly) if command or schema is not None else None

    def _schema(self, held: Node) -> Mapping[str, Any] | None:
        schema = plain(held)
        why = "it must be an object" if not isinstance(schema, dict) else Checker(schema).unusable
        if why:
            message = f"route {self._name}: the schema of verify is unusable: {why}"
            self._notes.error(Code.BAD_SCHEMA, message, held.start, "give a JSON Schema that is valid by itself")
            return None
        return dict(schema)

    def _report_useless(self, to: Sequence[str]) -> None:
        values = self._values
        compare = values.get("compare", 0)
        if values.get("escalate") and "verify" not in self._node.entries:
            message = f"escalate of route {self._name} means nothing without verify"
            self._notes.error(Code.USELESS_KEY, message, self.place("escalate"), "give verify, or remove it")
        if values.get("escalate") and compare:
            message = f"route {self._name} has both escalate and compare"
            self._notes.error(Code.USELESS_KEY, message, self.place("escalate"), "remove one of the two")
        if compare and "on" in self._node.entries:
            message = f"on of route {self._name} means nothing with compare: every agent has its own end"
            self._notes.error(Code.USELESS_KEY, message, self.place("on"), "remove it")
        if compare > len(to) > 0:
            message = f"route {self._name} compares {compare} agents and names {len(to)}"
            self._notes.error(Code.USELESS_KEY, message, self.place("compare"), f"name {compare} agents under to")

    def _item(self, key: str, text: str, *, within_match: bool = False) -> Place:
        table = self._node.get("match") if within_match else self._node
        listed = table.get(key) if isinstance(table, Table) else None
        items = listed.items if isinstance(listed, Listing) else (listed,)
        for item in items:
            if isinstance(item, Scalar) and item.text == text:
                return item.start
        return self.place("match" if within_match else key)
