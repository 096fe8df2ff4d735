"""Logical tools compiled once for a configuration: expressions, mappings, schemas and the definition that clients see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp_orchestrator.core.conditions import Condition, Conditions, Wrong
from mcp_orchestrator.core.mapping import CALLER, Arguments, Results
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.strategies import Candidate, mark
from mcp_orchestrator.model.plan import Care, Reason
from mcp_orchestrator.model.routing import LogicalTool, Override, Provider

STEP: Final = "route"


class PreparedProvider:
    """One provider with what a choice and a call of it need."""

    __slots__ = ("_care", "arguments", "backend", "candidate", "chosen", "declined", "name", "results", "spec", "when")

    def __init__(
        self, logical: LogicalTool, place: int, spec: Provider, price: int | None, conditions: Conditions
    ) -> None:
        self.spec = spec
        self.backend, _, self.name = spec.tool.partition(".")
        self.candidate = Candidate(
            place, spec.tool, self.backend, spec.weight, price, spec.max_concurrent, mark(spec.tool)
        )
        self._care: tuple[Override | None, Care] | None = None
        self.when: Condition | None = None
        if spec.when:
            found = conditions.compile(spec.when, CALLER)
            if isinstance(found, Wrong):  # the configuration was checked, so that nothing else than a bug leads here
                raise ValueError(f"{spec.when}: {found.message}")
            self.when = found
        self.arguments = Arguments(spec, conditions)
        self.results = Results(spec.result, conditions) if spec.result is not None else None
        self.chosen = self.reason(f"{spec.tool} can take it ({logical.strategy})", logical)
        self.declined = self.reason(f"{spec.tool} does not take it: when is false: {spec.when}", logical)

    def care_for(self, override: Override | None, logical: LogicalTool) -> Care:
        """What a run sees to, as far as it is the same for every call."""
        if self._care is None or self._care[0] is not override:
            spec = self.spec
            repeatable = spec.repeatable or (override is not None and override.repeatable)
            cap = override.max_result_bytes if override is not None else None
            care = Care(spec.tool, logical, repeatable=repeatable, limit=spec.max_concurrent, cap=cap)
            self._care = (override, care)
        return self._care[1]

    def reason(self, text: str, logical: LogicalTool) -> Reason:
        """A reason that names the tool and the place of the provider."""
        return Reason(STEP, text, logical.name, self.spec.where)


class PreparedLogical:
    """One logical tool. `prices` are those of `overrides`, by `SERVER.TOOL`, for providers without one of their own."""

    __slots__ = (
        "_output",
        "_together",
        "backends",
        "candidates",
        "conditions",
        "definition",
        "providers",
        "spec",
        "spreads",
    )

    def __init__(self, spec: LogicalTool, prices: Mapping[str, int | None], conditions: Conditions) -> None:
        self.spec = spec
        self.conditions = conditions
        self.providers = tuple(
            PreparedProvider(spec, place, one, one.price if one.price is not None else prices.get(one.tool), conditions)
            for place, one in enumerate(spec.providers)
        )
        self.candidates = tuple(one.candidate for one in self.providers)
        self.backends = frozenset(one.backend for one in self.providers)
        self.definition = _definition(spec)
        self.spreads: dict[str, Sequence[Candidate]] = {}
        self._output: Checker | None = None
        self._together: Condition | Wrong | None = None

    @property
    def together(self) -> Condition | None:
        """All conditions as one expression that gives a list: where many are false, three times as fast as one by one."""
        if self._together is None:
            texts = (one.spec.when or "true" for one in self.providers)
            self._together = self.conditions.compile(
                f"[{', '.join(f'({text})' for text in texts)}]", CALLER, wants=None
            )
        return None if isinstance(self._together, Wrong) else self._together

    @property
    def output(self) -> Checker | None:
        """Checks structured results against the output schema; None without one."""
        if self._output is None and self.spec.output_schema is not None:
            self._output = Checker(self.spec.output_schema)
        return self._output


class Shaping:
    """What the configuration makes of the tools of servers: overrides by `SERVER.TOOL`, logical tools by name.

    `price` gives the micro-dollars of a call of `SERVER.TOOL` where neither provider nor override has a price.
    """

    __slots__ = ("logical", "overrides")

    def __init__(
        self,
        overrides: Mapping[str, Override] | None = None,
        tools: Mapping[str, LogicalTool] | None = None,
        price: Callable[[str], int | None] = lambda _tool: None,
    ) -> None:
        self.overrides: Mapping[str, Override] = overrides or {}
        used = {one.tool for spec in (tools or {}).values() for one in spec.providers}
        prices = {tool: self._price(tool, price) for tool in used}
        conditions = Conditions()
        self.logical = {name: PreparedLogical(spec, prices, conditions) for name, spec in (tools or {}).items()}

    def _price(self, tool: str, price: Callable[[str], int | None]) -> int | None:
        override = self.overrides.get(tool)
        return override.price if override is not None and override.price is not None else price(tool)


UNSHAPED: Final = Shaping()
"""Nothing is made of them."""


def _definition(spec: LogicalTool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": spec.name}
    if spec.title:
        made["title"] = spec.title
    if spec.description:
        made["description"] = spec.description
    made["inputSchema"] = spec.input_schema
    if spec.output_schema is not None:
        made["outputSchema"] = spec.output_schema
    if spec.annotations:
        made["annotations"] = spec.annotations
    return made
