"""What both legacy HTTP transports share: a session of which each message of ours is a POST of its own.

They differ in where answers come: on the stream of the POST (`mcp_http_legacy`), or on one stream for all (`mcp_sse`).
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.mcp_handshake import Agreement, Request, RpcError, initialize, invocation_meta
from mcp_orchestrator.backends.mcp_http_duplex import HttpDuplex
from mcp_orchestrator.backends.mcp_http_modern import configured
from mcp_orchestrator.backends.mcp_offers import walk_in_time
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed, Outcome
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening, Talk


class PostingSession(abc.ABC):
    """A legacy session over HTTP. Calls run side by side; whatever it has going on is one of `_tasks`."""

    def __init__(self, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> None:
        self._spec = spec
        self._endpoint = endpoint
        self._pool = pool
        self._opening = opening
        self._headers = configured(spec, endpoint)
        self._agreement: Agreement | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self.duplex = HttpDuplex(spec.name, self._send, hear=opening.on_event, stray=opening.on_stderr)

    @property
    def era(self) -> Era:
        """Always legacy."""
        return Era.LEGACY

    @property
    def agreement(self) -> Agreement:
        """What the handshake settled."""
        if self._agreement is None:
            raise RuntimeError("the session is not open yet")
        return self._agreement

    @property
    def pid(self) -> int | None:
        """No process of ours."""
        return None

    async def offers(self) -> Offers:
        """Everything the server offers now, within its start timeout. Raises BackendError."""
        return await walk_in_time(self._spec, self.agreement, self._ask, self._opening.on_stderr)

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Carry out one request; cancelling tells the server by notification and drops the POST."""
        try:
            result = await self.duplex.request(
                invocation.method,
                invocation.params,
                meta=invocation_meta(invocation, Era.LEGACY, self.agreement.version),
                talk=talk,
                wants_progress=invocation.wants_progress,
            )
        except (RpcError, BackendError) as error:
            return error.as_failed()
        return Completed(result, Era.LEGACY)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification of the client."""
        self.duplex.notify(method, params)

    async def wait_closed(self) -> str:
        """Wait until the server has ended the session, or its stream broke; returns why."""
        await self._over.wait()
        return f"backend {self._spec.name} {self.duplex.ended}"

    async def _shake_hands(self, ask: Request) -> None:
        """`initialize`. Raises BackendError."""
        opening = self._opening
        self._agreement = await initialize(
            ask,
            self._say,
            self._spec.name,
            client_info=opening.client_info or None,
            capabilities=opening.capabilities,
            version=opening.version,
        )

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        """One request of our own, decoded. Raises RpcError or BackendError."""
        return jsonrpc.decode(await self.duplex.request(method, params))

    @abc.abstractmethod
    async def _say(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification that must have arrived before anything else is sent (`notifications/initialized`)."""

    @abc.abstractmethod
    def _send(self, message: bytes, ident: int | None) -> None:
        """POST what the duplex wants sent; `ident` is the id of a request of ours, None for everything else."""

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drop(self) -> None:
        """Cancel whatever goes on and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
