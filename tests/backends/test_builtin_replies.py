"""How runs are shown: one shape, no false zero, and what to do next in words."""

import json

from mcp_orchestrator.backends.builtin_replies import refusal, reply_of, shown_run
from mcp_orchestrator.model.agent import AgentMode, AgentUsage, CostSource, Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.delegation import ChangedFile, Changes, Delegated, DelegationState


def kept(**changes):
    fields = {"state": DelegationState.WORKING, **changes}
    return Delegated("r1", "codex", "codex", "paint", AgentMode.WRITE, "local:ada", **fields)


def ended(status=EndStatus.COMPLETED, **more):
    return kept(ended=Ended(status, "painted", **more))


def result(reply):
    return json.loads(reply.outcome().result)


def test_a_run_that_goes_on_says_how_to_ask_about_it():
    reply = reply_of(shown_run(kept(native="n1"), None, None), judge=True)
    made = result(reply)
    assert "isError" not in made
    assert made["structuredContent"]["session"] == "n1"
    assert made["structuredContent"]["cost"] == {"usd": None, "source": "unmeasured"}
    assert 'run_status {"run": "r1", "wait": 45}' in made["content"][0]["text"]


def test_what_was_used_before_a_restart_is_shown_while_nobody_carries_it_out():
    usage = AgentUsage(input_tokens=3, cost=50_000, cost_source=CostSource.REPORTED)
    shown = shown_run(kept(usage=usage), None, None)
    assert (shown["usage"], shown["cost"]) == ({"inputTokens": 3}, {"usd": 0.05, "source": "reported"})


def test_an_end_is_shown_with_its_answer_its_evidence_and_its_changes():
    one = ended(structured={"n": 1}, evidence="it said so", usage=AgentUsage(cost=0, cost_source=CostSource.REPORTED))
    shown = shown_run(one, None, Changes((ChangedFile("a", "move", 1, 2, before="b", binary=True),)))
    assert (shown["status"], shown["structured"], shown["evidence"]) == ("completed", {"n": 1}, "it said so")
    assert shown["cost"] == {"usd": 0.0, "source": "reported"}, "a zero that was told is a zero"
    assert shown["changes"]["files"][0]["before"] == "b"
    assert "1 files changed" in reply_of(shown, judge=True).text


def test_a_bad_end_is_an_error_with_its_kind_unless_it_was_asked_for():
    one = ended(EndStatus.LIMIT, trouble=TroubleKind.QUOTA, message="come back later", retryable=True, resets_at=7.0)
    shown = shown_run(one, None, None)
    assert shown["error"] == {"kind": "quota", "message": "come back later", "retryable": True, "resetsAt": 7.0}
    assert result(reply_of(shown, judge=True))["isError"]
    assert "isError" not in result(reply_of(shown, judge=False))


def test_a_refusal_is_an_error_that_the_model_can_mend():
    made = json.loads(refusal("no such agent").result)
    assert (made["isError"], made["content"][0]["text"]) == (True, "no such agent")
