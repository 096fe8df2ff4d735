import json
import platform

from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands


def test_json_also_names_python_and_the_protocol_revisions():
    told = json.loads(CliRunner().invoke(commands, ["version", "--format", "json"]).stdout)
    assert told["python"] == platform.python_version()
    assert "2026-07-28" in told["protocol"]["modern"]
    assert "2025-11-25" in told["protocol"]["legacy"]
