"""Tokens of runs: one each, good while the run lasts, and only as hashes with us."""

from mcp_orchestrator.model.agent import AgentMode
from mcp_orchestrator.model.delegation import Delegated
from mcp_orchestrator.runtime.attachments import Attachments, Reach


def kept(run):
    return Delegated(run, "codex", "codex", "x", AgentMode.READ, "local:ada", profile="narrow", depth=2, trace="t")


def made():
    attachments = Attachments()
    attachments.reach = Reach("http://127.0.0.1:1/mcp", ("python", "shim.py"), "/run/s")
    return attachments


def token_of(attachment):
    return dict(attachment.headers)["Authorization"].reveal().removeprefix("Bearer ")


def test_nobody_comes_in_while_nobody_listens():
    assert Attachments().attach(kept("r1"), lambda: None) is None


def test_a_token_stands_for_the_agent_of_its_run_and_its_use_is_seen():
    attachments, seen = made(), []
    attachment = attachments.attach(kept("r1"), lambda: seen.append("r1"))
    admitted = attachments.admit(token_of(attachment))
    assert (admitted.principal.run, admitted.principal.depth, admitted.profile) == ("r1", 2, "narrow")
    assert seen == ["r1"]
    assert {name: value.reveal() for name, value in attachment.env} == {
        "MCP_ORCHESTRATOR_RUN_TOKEN": token_of(attachment),
        "MCP_ORCHESTRATOR_RUN_SOCKET": "/run/s",
    }


def test_tokens_differ_and_end_with_their_run_or_the_next_of_it():
    attachments = made()
    one, other = (token_of(attachments.attach(kept(run), lambda: None)) for run in ("r1", "r2"))
    assert one != other
    again = token_of(attachments.attach(kept("r1"), lambda: None))
    assert attachments.admit(one) is None
    attachments.detach("r1")
    attachments.detach("r1")
    assert attachments.admit(again) is None
    assert attachments.admit(other) is not None
    assert attachments.admit("\udcff") is None


def test_the_token_itself_is_not_kept():
    attachments = made()
    token = token_of(attachments.attach(kept("r1"), lambda: None))
    assert token not in repr(vars(attachments))
