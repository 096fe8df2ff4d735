"""What models cost, from the table that comes with genai-prices; read when it is first needed, and never fetched."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from mcp_orchestrator.model.agent import AgentUsage

_MICRO: Final = 1_000_000


class ModelTable:
    """The table. Reading it takes about half a second of processor time (genai-prices 0.2.3, 2026-11)."""

    def __init__(self) -> None:
        self._read: Any = None

    @property
    def is_read(self) -> bool:
        """Whether it can be asked without a delay."""
        return self._read is not None

    async def read(self) -> None:
        """Read it, in a thread of its own."""
        if self._read is None:
            await asyncio.to_thread(self._module)

    def cost(self, usage: AgentUsage, model: str) -> int | None:
        """Micro-dollars of what was used, rounded up; None when the model is not in the table."""
        module = self._module()
        used = module.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        provider, _, name = model.rpartition("/")
        try:
            found = module.calc_price(used, model_ref=name or model, provider_id=provider.split("/")[-1] or None)
        except (LookupError, ValueError):
            return self.cost(usage, name) if provider and name else None
        return -int(-(found.total_price * _MICRO) // 1)

    def _module(self) -> Any:
        if self._read is None:
            import genai_prices  # noqa: PLC0415 - only where a price is computed

            self._read = genai_prices
        return self._read
