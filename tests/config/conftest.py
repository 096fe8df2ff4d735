"""Loads configurations that tests write down as text."""

import pytest

from mcp_orchestrator.config.load import load
from mcp_orchestrator.model.snapshot import Secret


def no_such_secret(name):
    raise LookupError("there is no such entry: make one")


@pytest.fixture
def loaded(tmp_path):
    """Loads a text as `orchestrator.yaml` (or another name) with the given environment."""

    def run(text, *, name="orchestrator.yaml", **environ):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        secrets = {"env": lambda key: Secret(environ[key]), "none": no_such_secret}
        return load(path, environ={"HOME": "/home/ada", **environ}, secrets=secrets)

    return run


@pytest.fixture
def codes(loaded):
    """The codes of all problems of a text, in the order of the file."""

    def run(text, **environ):
        return [str(problem.code) for problem in loaded(text, **environ).problems]

    return run


@pytest.fixture
def snapshot(loaded):
    """The snapshot of a text that must have no problem at all."""

    def run(text, **environ):
        result = loaded(text, **environ)
        assert result.problems == ()
        return result.snapshot

    return run


@pytest.fixture
def server(snapshot):
    """The specification of the only server, `s`, written as a flow mapping."""

    def run(block, **environ):
        return snapshot(f"mcpServers:\n  s: {block}\n", **environ).backends["s"]

    return run
