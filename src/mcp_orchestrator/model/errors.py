"""The one exception that crosses the adapter edge, and the JSON-RPC error codes of MCP.

Codes: JSON-RPC 2.0 section 5.1; MCP 2025-11-25 and 2026-07-28 basic/index (errors).
"""

from __future__ import annotations

from typing import Any, Final

from mcp_orchestrator.model.outcome import Failed, FailureKind

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
CONNECTION_CLOSED: Final = -32000
REQUEST_TIMEOUT: Final = -32001
RESOURCE_NOT_FOUND: Final = -32002
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
URL_ELICITATION_REQUIRED: Final = -32042
REQUEST_CANCELLED: Final = -32800

NOT_REPEATED: Final = "it may have had effects and was not repeated"
"""Said of a call that was sent and whose end nobody saw."""


class BackendError(Exception):
    """A backend could not be opened, or an open session could not do what was asked of it.

    Raised by adapters only, caught by the engine, turned into a `Failed` value. `sent` tells whether the request may
    have reached the backend: if so, nobody repeats it.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        code: int | None = None,
        data: Any = None,
        sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code or (CONNECTION_CLOSED if kind is FailureKind.DIED else INTERNAL_ERROR)
        self.data = data
        self.sent = sent

    def as_failed(self) -> Failed:
        """The same as the value that a call ends with; of a connection that was lost, it says what that means."""
        message = self.message
        if self.kind is FailureKind.DIED and NOT_REPEATED not in message:
            message = f"{message}; {NOT_REPEATED}"
        return Failed(self.kind, self.code, message, self.data, retryable=not self.sent)
