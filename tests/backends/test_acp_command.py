"""What starts an agent, and what is said where nothing does."""

from pathlib import Path

import pytest

from mcp_orchestrator.backends.acp_command import advised, command_of
from mcp_orchestrator.backends.acp_profiles import profile_of
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentOpening, AgentSpec
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

HERE = AgentOpening(Path("/"), Path("/"), AgentMode.WRITE)


def command(opening=HERE, **definition):
    spec = AgentSpec("a", AgentKind.ACP, where="a.yaml:1:1", **definition)
    return command_of(spec, profile_of(spec), opening)


def test_a_profile_alone_names_the_program():
    assert command(settings={"profile": "opencode"}) == ("opencode", "acp")


def test_a_command_of_ones_own_goes_first():
    assert command(command=("/opt/oc", "acp"), settings={"profile": "opencode"}) == ("/opt/oc", "acp")


def test_the_model_is_an_argument_where_the_agent_takes_it_so():
    assert command(command=("gemini", "--acp"), model="flash") == ("gemini", "--acp", "--model", "flash")
    chosen = AgentOpening(Path("/"), Path("/"), AgentMode.WRITE, model="pro")
    assert command(chosen, command=("gemini", "--acp"), model="flash") == ("gemini", "--acp", "--model", "pro")
    assert command(None, command=("gemini", "--acp")) == ("gemini", "--acp")
    assert command(command=("other", "--acp"), model="flash") == ("other", "--acp")


def test_nothing_to_start_and_a_profile_that_is_not_there_are_told_with_their_place():
    with pytest.raises(BackendError, match=r"nothing says how to start it; give `command` or `profile` \(a.yaml:1:1\)"):
        command()
    with pytest.raises(BackendError, match=r"there is no profile 'gemini'; those that are: gemini-cli, .*plain"):
        command(settings={"profile": "gemini"})


def test_a_missing_program_comes_with_how_to_install_it():
    spec = AgentSpec("a", AgentKind.ACP, settings={"profile": "kimi"}, where="a.yaml:1:1")
    missing = BackendError(FailureKind.UNAVAILABLE, "backend a: the program 'kimi' is not on the PATH (/bin)")
    assert advised(spec, profile_of(spec), missing).message.endswith(
        "install it with `uv tool install 'kimi-cli==1.49.0'`"
    )
    other = BackendError(FailureKind.INVALID, "it cannot")
    assert advised(spec, profile_of(spec), other).message == "agent a: it cannot (a.yaml:1:1)"
    told = BackendError(FailureKind.INVALID, "agent a: told already")
    assert advised(spec, profile_of(spec), told) is told
