import datetime as dt
import threading

import pytest

from mcp_orchestrator.testing.clock import LONGEST, now, wait
from mcp_orchestrator.testing.stdio_server import Request, ToolError


def test_the_time_is_that_of_the_zone():
    found = now({"zone": "Asia/Kolkata"}, Request(print))
    assert dt.datetime.fromisoformat(found["time"]).utcoffset() == dt.timedelta(hours=5, minutes=30)
    assert now({}, Request(print))["zone"] == "UTC"


@pytest.mark.parametrize("zone", ["Nowhere/Never", "../etc/passwd", "", "a\0b"])
def test_a_zone_that_does_not_exist_is_an_error_of_the_tool(zone):
    with pytest.raises(ToolError):
        now({"zone": zone}, Request(print))


@pytest.mark.parametrize("seconds", [-1, LONGEST + 1, "1", float("nan")])
def test_only_sensible_times_are_waited_for(seconds):
    with pytest.raises(ToolError):
        wait({"seconds": seconds}, Request(print))


def test_waiting_ends_when_the_call_is_cancelled():
    told = threading.Event()
    request = Request(lambda _done, _total: told.set())
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(wait({"seconds": 3000}, request)))
    waiting.start()
    assert told.wait(20)
    request.cancelled.set()
    waiting.join(20)
    assert ended[0]["waited"] < 20
