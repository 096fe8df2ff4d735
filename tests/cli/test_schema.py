import json

import jsonschema_rs
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands


def test_the_schema_is_one_that_accepts_a_right_file_and_refuses_a_wrong_one(configured):
    shown = CliRunner().invoke(commands, ["schema"])
    assert shown.exit_code == 0
    assert CliRunner().invoke(commands, ["schema", "--format", "json"]).stdout == shown.stdout
    validator = jsonschema_rs.validator_for(json.loads(shown.stdout))
    assert validator.is_valid(json.loads(configured().read_text()))
    assert not validator.is_valid({"mcpServers": {"a": {"command": "x"}}, "listeners": {"http": {"port": "high"}}})
