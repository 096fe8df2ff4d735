"""The operations of A2A on delegations, for the router or one agent: what the SDK's dispatchers call.

A2A 1.0 section 3. The SDK (a2a-sdk 1.3) reads and writes the wire of every binding and of 0.3; tasks are our runs, so
that nothing is kept twice and everything survives a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, NoReturn
from uuid import uuid4

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
from a2a.types.a2a_pb2 import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    ExtendedAgentCardNotConfiguredError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import apply_history_length, validate_history_length, validate_page_size
from google.protobuf.json_format import MessageToDict, ParseDict

from mcp_orchestrator.agent_api import DelegationDoor, Glimpse
from mcp_orchestrator.core.scopes import DELEGATE, RUNS, allows
from mcp_orchestrator.listeners.a2a_feeds import Ear, Feeds, changes_of
from mcp_orchestrator.listeners.a2a_messages import UnreadableError, prompt_of, reply_of, wishes_of
from mcp_orchestrator.listeners.a2a_tasks import OVER, WAITING, context_of, is_over, state_of, task_of
from mcp_orchestrator.model.call import Principal

PRINCIPAL: Final = "principal"
"""Where the context of a call names who makes it."""

MOST_LISTED: Final = 1000
MOST_REMEMBERED: Final = 2000
MOST_HISTORY: Final = 200
_PAGE: Final = 50

Event = Message | Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent


class Histories:
    """What clients said in their tasks, as they said it; bounded. After a restart the task itself is what is known."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def add(self, seen: Glimpse, message: Mapping[str, Any]) -> None:
        """Keep a message of a client."""
        said = self._said.setdefault(seen.kept.id, [])
        said.append({**message, "taskId": seen.kept.id, "contextId": context_of(seen)})
        del said[:-MOST_HISTORY]
        self._said.move_to_end(seen.kept.id)
        if len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)

    def of(self, seen: Glimpse) -> list[dict[str, Any]]:
        """The messages of a task."""
        known = self._said.get(seen.kept.id)
        if known is not None:
            return known
        place = {"taskId": seen.kept.id, "contextId": context_of(seen)}
        first = {"messageId": f"{seen.kept.id}-task", "role": "ROLE_USER", "parts": [{"text": seen.kept.task}]}
        return [{**first, **place}]


class A2aRequests(RequestHandler):
    """What can be asked of the router (`agent` None) or of one agent."""

    def __init__(
        self, door: DelegationDoor, who: Principal, feeds: Feeds, histories: Histories, agent: str | None = None
    ) -> None:
        """`who` asks where the context of a call names nobody."""
        self._door = door
        self._who = who
        self._feeds = feeds
        self._histories = histories
        self._agent = agent

    # -- messages -------------------------------------------------------------------------------------------------

    @validate_request_params
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task | Message:
        """Begin a task, or answer in one; returns when it is over or waits, or at once if that was asked for."""
        who = self._caller(context)
        validate_history_length(params.configuration)
        seen = await self._receive(params, who)
        if not params.configuration.return_immediately:
            seen = await self._settled(seen, who)
        return apply_history_length(await self._task(seen, who), params.configuration)

    def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Begin a task, or answer in one, and tell what becomes of it until it is over or waits."""
        streaming: AsyncGenerator[Event, None] = self._sent(params, context)
        return streaming

    @validate_request_params
    async def _sent(self, params: SendMessageRequest, context: ServerCallContext) -> AsyncGenerator[Event, None]:
        who = self._caller(context)
        validate_history_length(params.configuration)
        seen = await self._receive(params, who)
        ear = await self._join(seen.kept.id, who)
        try:
            yield apply_history_length(await self._task(ear.seen, who), params.configuration)
            if state_of(ear.seen) in OVER | WAITING:
                return
            while (event := await ear.next()) is not None:
                yield _event(event)
                if event.get("statusUpdate", {}).get("status", {}).get("state") in WAITING:
                    return
        finally:
            ear.close()

    def prompt(self, message: Mapping[str, Any]) -> str:
        """The task that a first message gives."""
        try:
            text = prompt_of(message)
        except UnreadableError as error:
            raise ContentTypeNotSupportedError(str(error)) from error
        if not text.strip():
            raise InvalidParamsError("the message has no content: say what is to be done in a text part")
        return text

    def _caller(self, context: ServerCallContext) -> Principal:
        """Who asks about tasks of theirs."""
        who: Principal = context.state.get(PRINCIPAL, self._who)
        self._need(who, RUNS)
        return who

    @staticmethod
    def _need(who: Principal, scope: str) -> None:
        """Refuse what a token is not good for. A first message needs both scopes: its answer is a look at the run."""
        if who.scopes is not None and not allows(who.scopes, scope, ""):
            raise InvalidRequestError(f"insufficient scope: the token of {who.id} lacks the scope '{scope}'")

    async def _receive(self, params: SendMessageRequest, who: Principal) -> Glimpse:
        """Take a message: the first of a task, or an answer."""
        message: dict[str, Any] = MessageToDict(params.message)
        if params.configuration.HasField("task_push_notification_config"):
            raise PushNotificationNotSupportedError
        if message.get("taskId"):
            seen = await self._answer(message, who)
        else:
            seen = await self._begin(message, MessageToDict(params.metadata), who)
        self._histories.add(seen, message)
        return seen

    async def _begin(self, message: dict[str, Any], metadata: Mapping[str, Any], who: Principal) -> Glimpse:
        self._need(who, DELEGATE)
        task = self.prompt(message)
        try:
            wishes = wishes_of(metadata, message.get("metadata"))
            return await self._door.begin(
                task,
                who,
                agent=self._agent or wishes.agent,
                labels=wishes.labels,
                mode=wishes.mode,
                workspace=wishes.workspace,
                schema=wishes.schema,
                context=message.get("contextId") or str(uuid4()),
            )
        except ValueError as error:
            raise InvalidParamsError(str(error)) from error
        except OSError as error:
            raise InternalError(f"the task could not be recorded, and nothing was begun: {error}") from error

    async def _answer(self, message: dict[str, Any], who: Principal) -> Glimpse:
        seen = await self._look(message["taskId"], who)
        if message.get("contextId") not in (None, context_of(seen)):
            raise InvalidParamsError(f"task {seen.kept.id} is not of context {message['contextId']}")
        if is_over(seen):
            raise UnsupportedOperationError(
                f"task {seen.kept.id} is over; send the message without taskId, for a new task in its context"
            )
        if not seen.questions:
            raise UnsupportedOperationError(f"task {seen.kept.id} is under way and asks nothing; wait, or cancel it")
        try:
            reply = reply_of(message, seen.questions)
            self._door.answer(seen.kept.id, who, reply.key, reply.action, option=reply.option, content=reply.content)
        except LookupError as error:
            raise InvalidParamsError(_said(error)) from error
        except ValueError as error:
            raise InvalidParamsError(str(error)) from error
        return await self._look(seen.kept.id, who)

    async def _settled(self, seen: Glimpse, who: Principal) -> Glimpse:
        """The task once it is over or waits."""
        while state_of(seen) not in OVER | WAITING:
            await seen.changed.wait()
            seen = await self._look(seen.kept.id, who)
        return seen

    # -- tasks ----------------------------------------------------------------------------------------------------

    @validate_request_params
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task | None:
        """A task as it stands."""
        who = self._caller(context)
        validate_history_length(params)
        return apply_history_length(await self._task(await self._look(params.id, who), who), params)

    @validate_request_params
    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """The newest tasks first (by their last change), a page at a time."""
        who = self._caller(context)
        validate_history_length(params)
        if params.HasField("page_size"):
            validate_page_size(params.page_size)
        size = params.page_size if params.HasField("page_size") else _PAGE
        after = params.status_timestamp_after.ToMilliseconds() if params.HasField("status_timestamp_after") else None
        found = [
            seen
            for seen in await self._door.recent(who, MOST_LISTED)
            if self._ours(seen)
            and params.context_id in ("", context_of(seen))
            and params.status in (TaskState.TASK_STATE_UNSPECIFIED, TaskState.Value(state_of(seen)))
            and (after is None or seen.kept.updated * 1000 >= after)
        ]
        found.sort(key=lambda seen: (seen.kept.updated, seen.kept.id), reverse=True)
        start = _start(found, params.page_token)
        page = found[start : start + size]
        whole = params.include_artifacts
        tasks = [apply_history_length(await self._task(seen, who, whole=whole), params) for seen in page]
        more = start + size < len(found)
        token = page[-1].kept.id if more and page else ""
        return ListTasksResponse(tasks=tasks, next_page_token=token, page_size=size, total_size=len(found))

    @validate_request_params
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task | None:
        """Stop a task; returns once it is over."""
        who = self._caller(context)
        seen = await self._look(params.id, who)
        if is_over(seen):
            raise TaskNotCancelableError(f"task {params.id} is over already")
        try:
            seen = await self._door.cancel(params.id, who, "cancelled by an A2A client")
        except LookupError as error:
            raise TaskNotFoundError(_said(error)) from error
        return await self._task(seen, who)

    def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Hear a task until it is over."""
        streaming: AsyncGenerator[Event, None] = self._subscribed(params, context)
        return streaming

    @validate_request_params
    async def _subscribed(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        who = self._caller(context)
        if is_over(await self._look(params.id, who)):
            raise UnsupportedOperationError(f"task {params.id} is over; GetTask tells how it ended")
        ear = await self._join(params.id, who)
        try:
            yield await self._task(ear.seen, who)
            while (event := await ear.next()) is not None:
                yield _event(event)
        finally:
            ear.close()

    async def _join(self, run: str, who: Principal) -> Ear:
        try:
            return await self._feeds.join(run, who)
        except LookupError as error:
            raise TaskNotFoundError(_said(error)) from error

    async def _look(self, run: str, who: Principal) -> Glimpse:
        try:
            seen = await self._door.look(run, who)
        except LookupError as error:
            raise TaskNotFoundError(f"there is no task {run[:100]}") from error
        if not self._ours(seen):
            raise TaskNotFoundError(f"there is no task {run[:100]} of this agent")
        return seen

    def _ours(self, seen: Glimpse) -> bool:
        return self._agent is None or seen.kept.agent == self._agent

    async def _task(self, seen: Glimpse, who: Principal, *, whole: bool = True) -> Task:
        changes = await changes_of(self._door, seen, who) if whole else None
        made = task_of(seen, self._histories.of(seen), changes)
        if not whole:
            del made["artifacts"]
        return ParseDict(made, Task())

    # -- what is not offered --------------------------------------------------------------------------------------

    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """There are no push notifications."""
        self._no_push(params, context)

    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """There are no push notifications."""
        self._no_push(params, context)

    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        """There are no push notifications."""
        self._no_push(params, context)

    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """There are no push notifications."""
        self._no_push(params, context)

    @staticmethod
    def _no_push(params: object, context: ServerCallContext) -> NoReturn:
        del params, context
        raise PushNotificationNotSupportedError("push notifications are not offered: stream, subscribe, or ask again")

    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        """There is one card for everybody."""
        del params, context
        # The card says that there is none; TCK and SDK differ on the error for a card that was never declared.
        raise ExtendedAgentCardNotConfiguredError


def _event(event: Mapping[str, Any]) -> TaskStatusUpdateEvent | TaskArtifactUpdateEvent:
    if "statusUpdate" in event:
        return ParseDict(event["statusUpdate"], TaskStatusUpdateEvent())
    return ParseDict(event["artifactUpdate"], TaskArtifactUpdateEvent())


def _start(found: list[Glimpse], token: str) -> int:
    """Where a page begins: behind the task that the token names."""
    if not token:
        return 0
    for number, seen in enumerate(found):
        if seen.kept.id == token:
            return number + 1
    raise InvalidParamsError("the page token is not known; begin again without one")


def _said(error: LookupError) -> str:
    return str(error.args[0]) if error.args else "it is not there"
