"""Who follows a task hears how it goes on, each change once, under the id it knows."""

import anyio
import pytest
from engines import whole
from task_backends import ABLE, ADA, DECLARED, EVE, OLD, YES, Client, TaskBackend

from mcp_orchestrator.backends.mcp_events import event_of
from mcp_orchestrator.core.wire.meta import CLIENT_CAPABILITIES
from mcp_orchestrator.identity.sealing import AesGcmSealer, new_key
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.plugin_api import TaskChanged, View
from mcp_orchestrator.runtime import task_following

pytestmark = pytest.mark.anyio
META = {CLIENT_CAPABILITIES: DECLARED}


class Ears:
    def __init__(self):
        self.heard, self.news = [], anyio.Event()

    def __call__(self, event):
        self.heard.append(event.params)
        self.news.set()

    @property
    def statuses(self):
        return [params["status"] for params in self.heard]

    async def until(self, status):
        with anyio.fail_after(5):
            while not self.heard or self.heard[-1]["status"] != status:
                self.news = anyio.Event()
                await self.news.wait()


def ready(made):
    made.engine._sealer = AesGcmSealer(new_key())
    return made.gateway


@pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])
async def test_every_change_of_a_followed_task_is_heard_once_with_all_that_tasks_get_would_say(tmp_path, era):
    async with whole(tmp_path, TaskBackend("one", era)) as made:
        client, ears = Client(ready(made), ABLE), Ears()
        task = (await client.tool("one__confirm_delete", {"filename": "f"}))["taskId"]
        shown = await client.until(task, "input_required")
        found, stop = made.gateway.follow_tasks(View(Era.MODERN, None, ADA), ABLE, [task, "made-up", task], ears)
        assert found == [task]
        await anyio.sleep(0.2)
        await client.ask("tasks/update", taskId=task, inputResponses=dict.fromkeys(shown["inputRequests"], YES))
        await ears.until("completed")
        assert {params["taskId"] for params in ears.heard} == {task}
        assert "accept" in ears.heard[-1]["result"]["content"][0]["text"] if era is Era.MODERN else True
        assert "resultType" not in ears.heard[-1]
        stop()
        stop()


@pytest.mark.parametrize("era", [Era.MODERN, Era.LEGACY])
async def test_a_task_that_is_over_already_is_told_at_once(tmp_path, era):
    async with whole(tmp_path, TaskBackend("one", era)) as made:
        client, ears = Client(ready(made), ABLE), Ears()
        task = (await client.tool("one__slow_compute", {"seconds": 0}))["taskId"]
        await client.end(task)
        _found, stop = made.gateway.follow_tasks(View(Era.MODERN, None, ADA), ABLE, [task], ears)
        await ears.until("completed")
        stop()


async def test_nobody_follows_the_task_of_somebody_else(tmp_path):
    async with whole(tmp_path, TaskBackend("one", Era.MODERN)) as made:
        task = (await Client(ready(made), ABLE).tool("one__slow_compute", {"seconds": 60}))["taskId"]
        found, _stop = made.gateway.follow_tasks(View(Era.MODERN, None, EVE), ABLE, [task], Ears())
        assert found == []


async def test_what_a_modern_server_tells_by_itself_is_passed_on_without_waiting_for_the_next_look(tmp_path):
    backend = TaskBackend("one", Era.MODERN)
    async with whole(tmp_path, backend) as made:
        client, ears = Client(ready(made), ABLE), Ears()
        task = (await client.tool("one__slow_compute", {"seconds": 60}))["taskId"]
        _found, stop = made.gateway.follow_tasks(View(Era.MODERN, None, ADA), ABLE, [task], ears)
        told = {**backend.server.detailed(backend.jobs[0]), "status": "cancelled"}
        backend.sessions[-1].say(TaskChanged(told))
        assert ears.statuses == ["cancelled"]
        backend.sessions[-1].say(TaskChanged(told))
        assert ears.statuses == ["cancelled"]
        stop()


async def test_what_is_no_task_or_nobodys_is_dropped(tmp_path):
    backend = TaskBackend("one", Era.LEGACY)
    async with whole(tmp_path, backend) as made:
        heard = []
        made.gateway.watch(None, OLD.session, heard.append)
        client = Client(ready(made), OLD)
        await client.tool("one__slow_compute", {"seconds": 60}, task={})
        for params in ({}, {"taskId": "t", "status": "odd"}, {"taskId": "nobody's", "status": "working"}):
            backend.sessions[-1].say(TaskChanged(params))
        assert heard == []


class Pushing(TaskBackend):
    """A task server that may be listened to, and counts how often it is looked at."""

    def __init__(self):
        super().__init__("one", Era.MODERN)
        self.looks, self.stops = 0, {}

    async def _serve(self, invocation, talk):
        self.looks += invocation.method == "tasks/get"
        return await super()._serve(invocation, talk)

    async def open(self, opening):
        session = await super().open(opening)
        session.listen_for_task = lambda task: self._listen(session, task)
        return session

    def _listen(self, session, task):
        params = {"notifications": {"taskIds": [task]}, "_meta": META}
        self.stops[task] = self.server.listen(7, params, lambda message: tell(session, message))

        def stop():
            if task in self.stops:
                self.stops.pop(task)()

        return stop


def tell(session, message):
    event = event_of(message["method"], message["params"])
    if event is not None:
        session.say(event)


async def test_a_server_that_agreed_to_tell_is_no_longer_looked_at_as_often_as_it_allows(tmp_path):
    backend = Pushing()
    async with whole(tmp_path, backend) as made:
        client, ears = Client(ready(made), ABLE), Ears()
        task = (await client.tool("one__confirm_delete", {"filename": "f"}))["taskId"]
        shown = await client.until(task, "input_required")
        _found, stop = made.gateway.follow_tasks(View(Era.MODERN, None, ADA), ABLE, [task], ears)
        with anyio.fail_after(5):
            while not backend.stops:  # noqa: ASYNC110 - asked behind our back
                await anyio.sleep(0.01)
        await anyio.sleep(0.3)
        backend.looks = 0
        await anyio.sleep(0.5)  # five times the interval of the server
        assert backend.looks == 0
        await client.ask("tasks/update", taskId=task, inputResponses=dict.fromkeys(shown["inputRequests"], YES))
        await ears.until("completed")
        assert backend.looks == 0
        stop()
        assert backend.stops == {}


async def test_a_run_that_follows_a_task_ends_when_its_server_tells_that_it_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(task_following, "SHORTEST_POLL", 20.0)
    backend = Pushing()
    async with whole(tmp_path, backend) as made:
        client = Client(ready(made), OLD, answer=Answer(YES))
        with anyio.fail_after(10):
            assert "accept" in (await client.tool("one__confirm_delete", {"filename": "f"}))["content"][0]["text"]
        assert len(client.ear.asked) == 1
        assert backend.looks <= 3, "once when it begins to tell, after our answer, and for the result"
        assert backend.stops == {}
