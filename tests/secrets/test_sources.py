"""All sources together, through a configuration."""

import pytest

from mcp_orchestrator.config.load import load
from mcp_orchestrator.secrets.sources import resolvers, sources

TEXT = """\
mcpServers:
  s:
    url: https://x.example/mcp
    headers: {A: "${secret:env/TOKEN}", B: "${secret:file/token}"}
"""


@pytest.fixture
def path(tmp_path):
    """A configuration with a secret beside it."""
    (tmp_path / "token").write_text("from-file\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "o.yaml").write_text(TEXT)
    return tmp_path / "o.yaml"


def test_every_source_is_found_by_its_scheme(tmp_path):
    assert [source.scheme for source in sources({}, tmp_path)] == ["env", "file", "keyring"]


def test_a_configuration_takes_secrets_from_all_of_them(path):
    environ = {"TOKEN": "from-env", "HOME": "/h"}
    made = load(path, environ=environ, secrets=resolvers(environ, path.parent)).snapshot
    assert {name: value.reveal() for name, value in made.backends["s"].headers} == {"A": "from-env", "B": "from-file"}
    assert "from-" not in repr(made)


def test_what_is_missing_is_told_with_its_place_and_what_to_do(path):
    (path.parent / "token").chmod(0o644)
    problems = load(path, environ={}, secrets=resolvers({}, path.parent)).problems
    assert [(str(problem.code), problem.line) for problem in problems] == [("C032", 4), ("C032", 4)]
    assert "not set" in problems[0].message
    assert "chmod 600" in problems[1].fix
