"""The official task scenarios say the same of a server with tasks directly and through the gateway."""

import sys
from pathlib import Path

import pytest
import run_suite
import run_tasks

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def results(npm_server, tmp_path_factory):
    gateway = [str(Path(sys.executable).with_name("mcp-orchestrator"))]
    return run_tasks.both_ways(npm_server("conformance"), gateway, tmp_path_factory.mktemp("tasks"))


def test_a_server_with_tasks_passes_all_44_checks_directly_and_through_the_gateway(results):
    for found in results:
        assert set(found) == set(run_tasks.SCENARIOS)
        assert run_suite.failed(found) == []
    assert [run_tasks.successes(found) for found in results] == [44, 44]


def test_every_check_ends_through_the_gateway_as_it_does_directly(results):
    direct, through = results
    assert direct == through
