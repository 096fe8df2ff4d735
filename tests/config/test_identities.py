import pytest

from mcp_orchestrator.config.identities import is_loopback
from mcp_orchestrator.model.snapshot import IdentitySpec

BASE = "mcpServers: {s: {command: x}}\n"


def test_without_the_section_nobody_has_to_sign_in(snapshot):
    assert snapshot(BASE).identity == IdentitySpec()
    assert snapshot(BASE + "identity:").identity == IdentitySpec()


def test_groups_and_teams_arrive_in_their_order(snapshot):
    text = BASE + (
        "identity:\n  required: true\n  groups: {oncall: ['local:ada', 'token:ci-*'], all: ['*']}\n"
        "  teams: {b: ['group:oncall', anonymous], a: ['token:x']}\n"
    )
    made = snapshot(text).identity
    assert made.required
    assert made.groups == {"oncall": ("local:ada", "token:ci-*"), "all": ("*",)}
    assert list(made.teams.items()) == [("b", ("group:oncall", "anonymous")), ("a", ("token:x",))]


@pytest.mark.parametrize(
    "section",
    [
        "groups: {g: [ada]}",
        "groups: {g: ['local:']}",
        "groups: {g: ['group:h']}",
        "groups: {'g h': ['local:a']}",
        "teams: {t: ['Local:a']}",
        "teams: {t: ['']}",
    ],
)
def test_what_is_no_id_of_a_caller_is_refused(codes, section):
    assert codes(BASE + f"identity: {{{section}}}") == ["C015"]


def test_names_of_callers_are_not_taken_for_secrets(loaded):
    text = BASE + "identity: {groups: {g: ['token:deploy-runner-production-eu-west-1', 'token:nightly_build_7']}}"
    assert loaded(text).problems == ()


def test_a_group_that_only_tokens_can_have_is_a_warning_with_the_nearest_name(loaded):
    text = BASE + "identity: {groups: {oncall: ['local:a']}, teams: {t: ['group:onkall', 'group:oncall']}}"
    (problem,) = loaded(text).problems
    assert (str(problem.code), problem.severity.value, problem.line) == ("C056", "warning", 2)
    assert '"oncall"' in problem.fix
    (problem,) = loaded(BASE + "identity: {teams: {t: ['group:made']}}").problems
    assert "--group" in problem.fix


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("LOCALHOST", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("*", False), ("", False), ("10.0.0.1", False),
        ("localhost.example.com", False), ("127.0.0.1.example.com", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_only_loopback_addresses_count_as_such(host, local):
    assert is_loopback(host) is local
