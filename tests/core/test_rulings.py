"""Several rulings about one call become one: everything that any of them wants."""

from mcp_orchestrator.core.rulings import Asker, Ruling, together
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Approval, Effect, Judged, Scope

ASK = Approval("a", "f:1", ("operator",), Scope.ONCE, None)


class Judge:
    """Puts its mark behind a result; `withholds` gives none."""

    def __init__(self, mark, *, withholds=False):
        self.mark = mark
        self.withholds = withholds

    def __call__(self, result):
        return Judged(None if self.withholds else result + self.mark, (Reason("policy", self.mark.decode()),))

    def veil(self, params):
        return {**params, self.mark.decode(): 1}


def test_terms_are_there_only_where_something_is_wanted():
    assert Ruling(Effect.ALLOW).terms is None
    assert Ruling(Effect.ASK, approvals=(ASK,)).terms.approvals == (ASK,)


def test_what_both_want_is_wanted_once_and_one_alone_stays_as_it_is():
    one = Ruling(Effect.ASK, approvals=(ASK,))
    assert together([one, Ruling(Effect.ASK, approvals=(ASK,))]).approvals == (ASK,)
    assert together([None, one]) is one
    assert together([None, None]) is None


def test_a_denial_comes_last_among_the_reasons():
    deny = Ruling(Effect.DENY, (Reason("policy", "no"),), refusal="no", rule="d")
    both = together([deny, Ruling(Effect.ALLOW, (Reason("policy", "yes"),))])
    assert [reason.text for reason in both.reasons] == ["yes", "no"]
    assert (both.rule, both.refusal, both.terms) == ("d", "no", None)


def test_judges_follow_each_other_until_one_withholds():
    both = together([Ruling(Effect.ALLOW, judge=Judge(b"1")), Ruling(Effect.ALLOW, judge=Judge(b"2"))]).judge
    assert both(b"x") == Judged(b"x12", (Reason("policy", "1"), Reason("policy", "2")))
    assert both.veil({}) == {"1": 1, "2": 1}
    stops = together(
        [Ruling(Effect.ALLOW, judge=Judge(b"1", withholds=True)), Ruling(Effect.ALLOW, judge=Judge(b"2"))]
    ).judge
    assert stops(b"x") == Judged(None, (Reason("policy", "1"),))


def test_an_agent_is_known_by_its_own_id_and_that_of_its_owner():
    assert Asker(Principal("local:ada")).ids == ("local:ada",)
    assert Asker(Principal("agent:x:r", "agent", owner="local:ada")).ids == ("agent:x:r", "local:ada")
