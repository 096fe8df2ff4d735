import os
import subprocess
import sys

import pytest

from mcp_orchestrator.cli import demo_gateway
from mcp_orchestrator.cli.demo_gateway import DemoGateway, Surprise, still_there, wait_for


def test_a_process_is_still_there_until_it_was_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        assert still_there([child.pid, os.getpid()]) == sorted([child.pid, os.getpid()])
        child.stdin.close()
        child.wait(20)
        assert still_there([child.pid]) == []


def test_descendants_are_found_as_far_as_they_are_below():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        found = demo_gateway._descendants(os.getpid())
        assert child.pid in found
        assert os.getppid() not in found
        child.stdin.close()


def test_waiting_in_vain_is_a_surprise(monkeypatch):
    monkeypatch.setattr(demo_gateway, "PATIENCE", 0.0)
    with pytest.raises(Surprise, match="waited 0 seconds for rain in vain"):
        wait_for(lambda: None, "rain")
    assert wait_for(list, "rain", or_else=False) == []
    assert wait_for(lambda: "rain", "rain") == "rain"


def test_a_gateway_that_does_not_start_is_a_surprise_with_its_last_words(tmp_path, monkeypatch):
    gateway = DemoGateway(tmp_path)
    monkeypatch.setattr(gateway, "_configuration", lambda: {"mcpServers": {"a": {}}})
    with pytest.raises(Surprise, match="ended with exit code 2"):
        gateway.start()
    assert "problems" in gateway.last_words()
    gateway.kill()


def test_what_was_never_started_cannot_be_stopped(tmp_path):
    with pytest.raises(Surprise, match="never started"):
        DemoGateway(tmp_path).stop()
