"""The official conformance suite says the same of a server directly and through the gateway."""

import sys
from pathlib import Path

import pytest
import run_suite

pytestmark = pytest.mark.real

NEVER_SCORED = "tasks-"  # an extension that the reference server does not have


@pytest.fixture(scope="module")
def results(npm_server, modern_python, tmp_path_factory):
    """Both requirement sets, run side by side, each directly and through one gateway."""
    return run_suite.both_ways(
        npm_server("conformance"),
        [modern_python, str(run_suite.ROOT / "tests" / "peers" / "reference_server.py")],
        [str(Path(sys.executable).with_name("mcp-orchestrator"))],
        tmp_path_factory.mktemp("conformance"),
        run_suite.REVISIONS,
    )


@pytest.mark.parametrize("revision", run_suite.REVISIONS)
def test_the_reference_server_passes_everything_that_its_revision_requires(results, revision):
    direct, _through = results[revision]
    assert [line for line in run_suite.failed(direct) if not line.startswith(NEVER_SCORED)] == []
    assert len(direct) >= 30


@pytest.mark.parametrize("revision", run_suite.REVISIONS)
def test_every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly(results, revision):
    direct, through = results[revision]
    assert run_suite.differences(direct, through) == []
