"""The configurations that are shipped."""

from pathlib import Path

import pytest

from mcp_orchestrator.config.load import load
from mcp_orchestrator.model.snapshot import Durability, Secret

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


def read(path):
    return load(path, environ={"HOME": "/home/ada"}, secrets={"env": lambda name: Secret(f"value of {name}")})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_loads_without_any_problem(path):
    result = read(path)
    assert result.problems == ()
    assert result.snapshot.backends


def test_the_example_with_agents_has_one_of_each_kind_that_needs_no_file():
    made = read(CONFIGS / "agents.yaml").snapshot
    assert {spec.kind.value for spec in made.agents.values()} == {"claude-code", "codex", "acp", "a2a", "cli"}
    assert made.agents["qwen"].command == ("npx", "-y", "@qwen-code/qwen-code@0.24.4", "--acp")
    assert "value of" not in repr(made)


def test_the_four_that_the_documentation_speaks_of_are_there():
    assert {"quickstart.yaml", "minimal.yaml", "everything.yaml", "team.yaml"} <= {path.name for path in FILES}


def test_the_quickstart_needs_no_node_no_account_and_no_variable():
    made = read(CONFIGS / "quickstart.yaml").snapshot
    assert [spec.command for spec in made.backends.values()] == [
        "mcp-server-time",
        "mcp-server-git",
        "mcp-server-fetch",
    ]
    assert (made.http.host, made.http.port, made.http.path) == ("127.0.0.1", 8808, "/mcp")


def test_the_team_configuration_survives_power_loss_and_takes_secrets_by_reference():
    made = read(CONFIGS / "team.yaml").snapshot
    assert made.storage.durability is Durability.FULL
    assert made.http.allowed_hosts
    assert dict(made.backends["docs"].headers)["Authorization"].reveal() == "Bearer value of DOCS_TOKEN"
    assert "value of" not in repr(made)
