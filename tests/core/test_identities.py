from mcp_orchestrator.core.identities import named, of_token, placed
from mcp_orchestrator.model.call import ANONYMOUS, Principal
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.snapshot import IdentitySpec

SPEC = IdentitySpec(
    groups={"oncall": ("local:ada", "token:ci-*"), "guests": ("anonymous",)},
    teams={"first": ("group:oncall",), "second": ("local:*", "token:lone", "group:made")},
)


def test_groups_are_those_that_name_the_caller_or_a_pattern_of_it():
    assert placed(Principal("local:ada"), SPEC).groups == ("oncall",)
    assert placed(Principal("token:ci-1", "token"), SPEC).groups == ("oncall",)
    assert placed(ANONYMOUS, SPEC).groups == ("guests",)
    assert placed(Principal("local:Ada"), SPEC).groups == ()


def test_groups_of_a_token_stay_and_come_first_once():
    token = Token("1", "ci-1", b"", 0.0, groups=("made", "oncall"), scopes=("tools",))
    found = of_token(token, SPEC)
    assert (found.id, found.kind, found.groups, found.scopes) == ("token:ci-1", "token", ("made", "oncall"), ("tools",))


def test_the_team_is_the_first_that_has_the_caller_or_a_group_of_it():
    assert placed(Principal("local:ada"), SPEC).team == "first"
    assert placed(Principal("local:ben"), SPEC).team == "second"
    assert of_token(Token("1", "x", b"", 0.0, groups=("made",)), SPEC).team == "second"
    assert placed(ANONYMOUS, SPEC).team == ""


def test_a_caller_is_named_by_its_id_with_what_its_good_token_says():
    tokens = [
        Token("1", "lone", b"1", 0.0, revoked=1.0, scopes=("prompts",)),
        Token("2", "lone", b"2", 2.0, expires=10.0, scopes=("tools",)),
    ]
    found = named("token:lone", tokens, SPEC, 5.0)
    assert (found.scopes, found.team) == (("tools",), "second")
    assert named("token:lone", tokens, SPEC, 10.0).scopes is None
    assert named("local:ada", tokens, SPEC, 5.0) == Principal("local:ada")
    assert named("anonymous", tokens, SPEC, 5.0) == ANONYMOUS
