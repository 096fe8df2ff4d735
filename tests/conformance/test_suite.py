"""The official conformance suite says the same of a server directly and through the gateway."""

import sys
from pathlib import Path

import pytest
import run_suite

pytestmark = pytest.mark.real

NEVER_SCORED = "tasks-"  # an extension that the reference server does not have


@pytest.fixture(scope="module")
def results(npm_server, modern_python, tmp_path_factory):
    """Both requirement sets and the stable release, run side by side, each directly and through one gateway."""
    suites = {revision: npm_server("conformance") for revision in run_suite.REVISIONS}
    return run_suite.both_ways(
        suites | {run_suite.STABLE: npm_server("conformance-0.1")},
        [modern_python, str(run_suite.ROOT / "tests" / "peers" / "reference_server.py")],
        [str(Path(sys.executable).with_name("mcp-orchestrator"))],
        tmp_path_factory.mktemp("conformance"),
    )


@pytest.mark.parametrize("revision", [*run_suite.REVISIONS, run_suite.STABLE])
def test_the_reference_server_passes_everything_that_its_revision_requires(results, revision):
    direct, _through = results[revision]
    assert [line for line in run_suite.failed(direct) if not line.startswith(NEVER_SCORED)] == []
    assert len(direct) >= 30


@pytest.mark.parametrize(
    ("revision", "near", "far"), [("2025-11-25", 84, 84), ("2026-07-28", 169, 172), (run_suite.STABLE, 44, 44)]
)
def test_as_many_checks_pass_as_with_the_sdks_own_server(results, revision, near, far):
    # The three more for 2026-07-28 are about tasks, which the gateway has and this server has not.
    assert [run_suite.totals(found)["SUCCESS"] for found in results[revision]] == [near, far]


@pytest.mark.parametrize("revision", [*run_suite.REVISIONS, run_suite.STABLE])
def test_every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly(results, revision):
    direct, through = results[revision]
    assert run_suite.differences(direct, through) == []
