"""The official conformance suite says the same of a client directly and with the gateway between it and the server."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import run_suite

pytestmark = pytest.mark.real

ROOT = run_suite.ROOT
SCENARIOS = [
    ("initialize", "2025-11-25"),
    ("tools_call", "2025-11-25"),
    ("tools_call", "2026-07-28"),
    ("elicitation-sep1034-client-defaults", "2025-11-25"),
    ("sse-retry", "2025-11-25"),
    ("json-schema-2020-12-preservation", "2025-11-25"),
    ("json-schema-2020-12-preservation", "2026-07-28"),
    ("json-schema-ref-no-deref", "2026-07-28"),
    ("request-metadata", "2026-07-28"),
    ("sep-2322-client-request-state", "2026-07-28"),
    ("http-standard-headers", "2026-07-28"),
    ("http-custom-headers", "2026-07-28"),
    ("http-invalid-tool-headers", "2026-07-28"),
]
"""Every client scenario of both requirement sets but `auth/*`, which is about signing in to servers: the gateway does
not carry that out yet."""


@pytest.fixture(scope="module")
def results(npm_server, modern_python, tmp_path_factory):
    """What the suite found in each scenario, directly and through a gateway."""
    client = [modern_python, str(ROOT / "tests" / "peers" / "conformance_client.py")]
    program = str(Path(sys.executable).with_name("mcp-orchestrator"))
    through = [sys.executable, str(ROOT / "tests" / "conformance" / "client_through.py"), program, *client]
    suite, work = npm_server("conformance"), tmp_path_factory.mktemp("client")
    runs = [(scenario, way) for scenario in SCENARIOS for way in ("direct", "through")]

    def run(one):
        (name, revision), way = one
        command = client if way == "direct" else through
        return run_suite.run_client(suite, command, name, revision, work / f"{name}-{revision}-{way}")

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(runs, pool.map(run, runs), strict=True))


@pytest.mark.parametrize("scenario", SCENARIOS, ids="-".join)
def test_a_client_before_the_gateway_does_what_it_does_before_the_server(results, scenario):
    direct, through = results[scenario, "direct"], results[scenario, "through"]
    assert direct
    assert [check for check, status in through.items() if status == "FAILURE"] == []
    # What this client does not do at all (SKIPPED), the gateway may: it declares every ability when it looks around.
    looked_at = {check: status for check, status in direct.items() if status != "SKIPPED"}
    assert {check: through.get(check) for check in looked_at} == looked_at


def test_the_scenarios_are_those_that_the_revisions_require(node_modules):
    required = node_modules / "@modelcontextprotocol" / "conformance" / "requirements"
    for revision in run_suite.REVISIONS:
        wanted = run_suite.required_of_clients(required / f"{revision}.yaml")
        assert len(wanted) >= 4
        assert set(wanted) <= {name for name, at in SCENARIOS if at == revision}
