"""JSON-RPC batches, which only MCP 2025-03-26 has (basic/index, batching): an array in, an array out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, assert_never

from mcp_orchestrator.core.translate.outcomes import to_client
from mcp_orchestrator.listeners.envelopes import Malformed, Notification, Request, Response, read_message
from mcp_orchestrator.listeners.mcp_server import Channel, one_line, refusal_response, response
from mcp_orchestrator.listeners.sessions import LegacySession
from mcp_orchestrator.model.errors import INVALID_REQUEST

BATCH_VERSIONS: Final = ("2024-11-05", "2025-03-26")
BATCH_LIMIT: Final = 100


@dataclass(slots=True)
class Batch:
    """The messages of one array, sorted by kind; within a kind the order is kept."""

    requests: list[Request] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)


def batch_of(items: list[object], version: str) -> Batch | Malformed:
    """Read an array of messages, if the session's protocol version has batches."""
    if version not in BATCH_VERSIONS:
        return Malformed(
            None, INVALID_REQUEST, f"protocol version {version} has no batches: send one message at a time"
        )
    if not items or len(items) > BATCH_LIMIT:
        return Malformed(None, INVALID_REQUEST, f"a batch holds 1 to {BATCH_LIMIT} messages")
    batch = Batch()
    for item in items:
        match read_message(item):
            case Request(method="initialize", id=request_id):
                batch.malformed.append(Malformed(request_id, INVALID_REQUEST, "initialize may not be part of a batch"))
            case Request() as request:
                batch.requests.append(request)
            case Notification() as notification:
                batch.notifications.append(notification)
            case Response() as given:
                batch.responses.append(given)
            case Malformed() as malformed:
                batch.malformed.append(malformed)
            case message:
                assert_never(message)
    return batch


async def answer_batch(session: LegacySession, batch: Batch, channel: Channel | None) -> list[bytes]:
    """Carry a batch out, its requests side by side; the responses in the order of the requests.

    `channel` takes what runs say before their results; it may be None only where there are no requests. A request
    that was cancelled has no response.
    """
    for given in batch.responses:
        session.answered(given)
    for notification in batch.notifications:
        await session.notified(notification.method, notification.params)
    answers: list[bytes] = []
    if batch.requests and channel is not None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(whole_answer(session, request, channel)) for request in batch.requests]
        answers = [answer for task in tasks if (answer := task.result()) is not None]
    return answers + [refusal_response(malformed) for malformed in batch.malformed]


async def whole_answer(session: LegacySession, request: Request, channel: Channel) -> bytes | None:
    """The whole response to one request, on one line; None when it was cancelled."""
    answer = await session.answer(request, channel)
    if answer is None:
        return None
    if isinstance(answer, bytes):
        return response(request.id, b'"result":' + answer)
    return response(request.id, to_client(one_line(answer), request.method, session.face))
