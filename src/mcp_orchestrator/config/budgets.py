"""Reads budgets and prices, and refuses what could not be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from mcp_orchestrator.config.budget_sections import CALENDAR
from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, closest
from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, locate
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.config.match_sections import match_of
from mcp_orchestrator.config.units import parse_duration
from mcp_orchestrator.model.budget import (
    BudgetSpec,
    ModelPrice,
    OnExceeded,
    Prices,
    Unit,
    UnknownPrice,
    Window,
    WindowKind,
)

MICRO: Final = 1_000_000
_LEAST_WINDOW: Final = 1.0


def read_budgets(root: Table, checked: Sequence[Any], notes: Notes, file: str) -> tuple[BudgetSpec, ...]:
    """The budgets of a file. What is wrong with one is noted."""
    nodes = _items(root)
    if len(nodes) != len(checked):
        return ()  # one of them could not be read, which is noted already
    found: dict[str, BudgetSpec] = {}
    for values, node in zip(checked, nodes, strict=True):
        name = values.get("id")
        if name is None:
            notes.error(Code.LACKING_KEY, "a budget has no id", node.start, "give it one, such as id: team-month")
            continue
        if name in found:
            message = f"there are two budgets with the id {shown(name)}"
            notes.error(Code.DUPLICATE_ID, message, _place(node, "id"), "rename one of them")
            continue
        found[name] = _Reader(values, node, notes).spec(f"{file}:{node.start.line}")
    return tuple(found.values())


def _items(root: Table) -> Sequence[Node]:
    node = root.get("budgets")
    return node.items if isinstance(node, Listing) else ()


def _place(node: Node, key: str) -> Place:
    return locate(node, key)


class _Reader:
    """One budget."""

    def __init__(self, values: Mapping[str, Any], node: Node, notes: Notes) -> None:
        self._values = values
        self._node = node
        self._notes = notes

    def spec(self, where: str) -> BudgetSpec:
        values = self._values
        unknown, price = self._unpriced()
        more = values.get("raise", {})
        return BudgetSpec(
            id=values["id"],
            limits=_quantities(values.get("limit", {})),
            per=tuple(dict.fromkeys(values.get("per", ()))),
            match=match_of(values.get("match", {})),
            window=self._window(),
            soft=values.get("softPercent", 80) / 100,
            on_exceeded=OnExceeded(values.get("onExceeded", OnExceeded.REFUSE)),
            approvers=tuple(values.get("approvers", ("operator",))),
            raised=more.get("percent", 25) / 100,
            raise_for=more.get("for", 3600.0),
            unknown=unknown,
            price=price,
            estimates=_quantities(values.get("estimate", {})),
            where=where,
        )

    def _window(self) -> Window:
        word = self._values.get("window", "month")
        zone = self._zone()
        if word in CALENDAR:
            return Window(WindowKind(word), 0, zone)
        seconds = parse_duration(word) or 0.0
        if seconds < _LEAST_WINDOW or seconds != int(seconds):
            message = f"window {shown(word)} of budget {self._values['id']} is not a whole number of seconds, 1 or more"
            self._notes.error(Code.OUT_OF_RANGE, message, _place(self._node, "window"), "write 1h, say")
            return Window()
        return Window(WindowKind.EVERY, int(seconds))

    def _zone(self) -> str:
        zone: str = self._values.get("timeZone", "UTC")
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            near = closest(zone, available_timezones())
            fix = f'did you mean "{near}"?' if near else 'write a name such as "Europe/Berlin", or UTC'
            message = f"there is no time zone {shown(zone)} on this machine"
            self._notes.error(Code.MALFORMED, message, _place(self._node, "timeZone"), fix)
            return "UTC"
        return zone

    def _unpriced(self) -> tuple[UnknownPrice, int]:
        node = self._values.get("unknownPrice")
        if node is None or (isinstance(node, Scalar) and node.value in (None, "deny")):
            return UnknownPrice.DENY, 0
        if isinstance(node, Table) and len(node.entries) == 1:
            word, value = next((key, getattr(entry.value, "value", None)) for key, entry in node.entries.items())
            number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
            if word == "flat" and 0 < number <= MICRO:
                return UnknownPrice.FLAT, max(1, round(number * MICRO))
            if word == "unmeasured" and isinstance(number, int) and number > 0:
                return UnknownPrice.UNMEASURED, number
        message = f"unknownPrice of budget {self._values['id']} is none of deny, flat and unmeasured"
        fix = "write deny, {flat: DOLLARS} or {unmeasured: CALLS}"
        self._notes.error(Code.MALFORMED, message, _place(self._node, "unknownPrice"), fix)
        return UnknownPrice.DENY, 0


def _quantities(values: Mapping[str, Any]) -> dict[Unit, int]:
    """Quantities in the ledger's whole numbers: dollars came as micro-dollars already, seconds become thousandths."""
    found = {Unit(name): value for name, value in values.items()}
    return {unit: round(value * 1000) if unit is Unit.SECONDS else int(value) for unit, value in found.items()}


def read_prices(root: Table, checked: Mapping[str, Any], notes: Notes) -> Prices:
    """The prices of a file."""
    models = {}
    for name, values in checked.get("models", {}).items():
        if "input" not in values or "output" not in values:
            place = locate(root, "prices", "models", name)
            notes.error(Code.LACKING_KEY, f"prices.models.{name} needs input and output", place, "give both")
            continue
        models[name] = ModelPrice(
            values["input"], values["output"], values.get("cachedInput"), values.get("cacheWrite")
        )
    return Prices(dict(checked.get("tools", {})), models)
