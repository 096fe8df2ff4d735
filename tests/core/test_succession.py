import pytest

from mcp_orchestrator.core.succession import also, handed_on, misfit, not_verified, unverified, wants_next, word_of
from mcp_orchestrator.model.agent import Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.agent_routes import AgentRoute, Then, Verdict, Verify
from mcp_orchestrator.model.delegation import Tried

ROUTE = AgentRoute("r", ("a", "b"), where="o.yaml:3")
DONE = Ended(EndStatus.COMPLETED, "text", evidence="seen")


def failed(trouble):
    return Ended(EndStatus.FAILED, trouble=trouble)


def test_by_default_the_next_follows_who_has_no_quota_or_is_not_there_and_nobody_else():
    following = {trouble for trouble in TroubleKind if wants_next(ROUTE, failed(trouble))}
    assert following == {TroubleKind.QUOTA, TroubleKind.RATE, TroubleKind.MISSING, TroubleKind.AUTH}
    none = AgentRoute("r", ("a",), on_quota=Then.FAIL, on_missing=Then.FAIL)
    assert not any(wants_next(none, failed(trouble)) for trouble in TroubleKind)


def test_what_may_have_had_effects_is_never_followed():
    every = AgentRoute("r", ("a",), on_failed=Then.NEXT)
    following = {trouble for trouble in TroubleKind if wants_next(every, failed(trouble))}
    assert not following & {TroubleKind.CRASH, TroubleKind.PROTOCOL, TroubleKind.TIMEOUT, TroubleKind.SESSION}
    assert not any(wants_next(every, Ended(EndStatus.UNKNOWN, trouble=trouble)) for trouble in TroubleKind)
    assert wants_next(every, Ended(EndStatus.REFUSED))
    assert not wants_next(every, DONE)


def test_work_that_did_not_pass_keeps_what_was_said_and_tells_the_route():
    ended = unverified(DONE, ROUTE, Verdict(passed=False, said="2 failed"))
    assert (ended.status, ended.trouble, ended.text) == (EndStatus.FAILED, TroubleKind.VERIFY, "text")
    assert ended.message == "route 'r' (o.yaml:3) did not accept the work: 2 failed"
    assert word_of(ended) == "verify"


@pytest.mark.parametrize(("limit", "status"), [(None, EndStatus.CANCELLED), (TroubleKind.TIMEOUT, EndStatus.LIMIT)])
def test_what_was_stopped_before_it_was_verified_is_not_completed(limit, status):
    assert not_verified(DONE, "enough", limit).status is status
    other = failed(TroubleKind.CRASH)
    assert not_verified(other, "enough", limit) is other


def test_an_agent_is_told_what_was_wrong_with_the_work_that_it_goes_on_with():
    tried = [
        Tried("a", EndStatus.FAILED, TroubleKind.VERIFY, "2 failed"),
        Tried("b", EndStatus.FAILED, TroubleKind.QUOTA, "q"),
    ]
    assert handed_on("task", []) == handed_on("task", tried[1:]) == "task"
    assert "2 failed" in handed_on("task", tried)
    assert handed_on("task", tried).endswith("task")


def test_an_answer_that_fits_no_schema_is_the_matter_of_a_route_that_has_one():
    assert not misfit(ROUTE, failed(TroubleKind.INVALID))
    schema = AgentRoute("r", ("a",), verify=Verify(schema={}))
    assert misfit(schema, failed(TroubleKind.INVALID))
    assert not misfit(schema, failed(TroubleKind.CRASH))


def test_evidence_adds_up():
    assert also("", "b") == "b"
    assert also("a", "b") == "a; b"
