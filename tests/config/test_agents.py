"""Agents of a file become agent specifications; what makes no sense is refused with what to do."""

import pytest

from mcp_orchestrator.model.agent import AgentKind, AgentMode
from mcp_orchestrator.model.snapshot import Secret


@pytest.fixture
def agent(snapshot):
    """The specification of the only agent, `a`, written as a flow mapping."""

    def run(block, **environ):
        return snapshot(f"agents:\n  a: {block}\n", **environ).agents["a"]

    return run


@pytest.fixture
def problems(loaded):
    """Code and message of every problem of the only agent."""

    def run(block, **environ):
        return [(str(one.code), one.message, one.fix) for one in loaded(f"agents:\n  a: {block}\n", **environ).problems]

    return run


def test_an_agent_has_the_defaults_of_the_model(agent, tmp_path):
    made = agent("{kind: codex}")
    assert (made.name, made.kind, made.command, made.most_mode) == ("a", AgentKind.CODEX, (), AgentMode.WRITE)
    assert (made.timeout, made.max_runs, made.keep, made.max_turns, made.max_cost) == (3600.0, 4, 0, None, None)
    assert made.base == tmp_path
    assert made.where == f"{tmp_path}/orchestrator.yaml:2"


def test_agents_without_servers_are_no_problem(snapshot):
    made = snapshot("agents: {b: {kind: codex}, a: {kind: claude-code}}")
    assert list(made.agents) == ["b", "a"]
    assert made.backends == {}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("gemini --acp", ("gemini", "--acp")),
        ("'gemini --say \"two words\"'", ("gemini", "--say", "two words")),
        ("[gemini, --acp, 1]", ("gemini", "--acp", "1")),
        ("gemini, args: [--acp, a b]", ("gemini", "--acp", "a b")),
        ("'gemini ${env:WITH_BLANKS}'", ("gemini", Secret("x y"))),
    ],
)
def test_a_command_is_text_with_words_or_a_list(agent, written, words):
    assert agent(f"{{kind: acp, command: {written}}}", WITH_BLANKS="x y").command == words


@pytest.mark.parametrize(
    ("written", "begins"), [("./bin/agent", None), ("~/agent", "/home/ada"), ("/opt/agent", "/opt")]
)
def test_the_path_of_a_program_counts_from_the_file(agent, tmp_path, written, begins):
    program = agent(f"{{kind: acp, command: {written}}}").command[0]
    assert program == f"{begins or tmp_path / 'bin'}/agent"


def test_secrets_come_by_reference_and_are_confidential(agent):
    block = "{kind: acp, command: 'x --key ${secret:env/KEY}', env: {TOKEN: '${secret:env/KEY}'}}"
    made = agent(block, KEY="hush-hush-hush")
    assert made.command[2].reveal() == dict(made.env)["TOKEN"].reveal() == "hush-hush-hush"
    assert Secret("hush-hush-hush") in made.confidential
    assert "hush" not in repr(made)


def test_a_secret_in_clear_text_is_refused_once(problems):
    found = problems("{kind: codex, env: {TOKEN: ghp_abcdefghijklmnopqrstuvwxyz012345}}")
    assert [code for code, _, _ in found] == ["C030"]


def test_the_spellings_of_other_programs_are_not_understood(problems):
    assert [code for code, _, _ in problems("{kind: codex, env: {A: '${HOME}'}}")] == ["C033"]


def test_money_is_kept_in_micro_dollars(agent):
    made = agent("{kind: codex, limits: {usd: 2.5, turns: 7}}")
    assert (made.max_cost, made.max_turns) == (2_500_000, 7)


def test_the_keys_of_a_kind_are_plain_settings_with_absolute_paths(agent, tmp_path):
    acp = "{kind: acp, profile: gemini-cli, acp: {mode: default, mcp: http, approve: [b, a], config: {effort: 3, x: true}}}"
    assert agent(acp).settings == {
        "profile": "gemini-cli", "mode": "default", "mcp": "http", "approve": ["b", "a"], "config": {"effort": 3, "x": True},
    }  # fmt: skip
    claude = agent("{kind: claude-code, claude: {extraArgs: [--verbose], configDir: mine}}")
    assert claude.settings == {"extraArgs": ["--verbose"], "configDir": str(tmp_path / "mine")}
    assert agent("{kind: a2a, url: 'https://h', a2a: {binding: http+json, version: '1.0'}}").settings == {
        "binding": "http+json",
        "version": "1.0",
    }


def test_a_script_and_a_profile_of_ones_own_are_files(agent, problems, tmp_path):
    (tmp_path / "s.yaml").write_text("")
    assert agent("{kind: scripted, script: s.yaml}").settings == {"script": str(tmp_path / "s.yaml")}
    assert agent("{kind: cli, profile: ./s.yaml}").settings == {"profile": str(tmp_path / "s.yaml")}
    assert agent("{kind: cli, profile: aider}").settings == {"profile": "aider"}
    for block in ("{kind: scripted, script: no.yaml}", "{kind: cli, profile: no.yaml}"):
        ((code, message, _),) = problems(block)
        assert code == "C064"
        assert str(tmp_path / "no.yaml") in message


def test_a_remote_agent_has_an_address_and_headers(agent):
    made = agent("{kind: a2a, url: 'https://h/x', headers: {Authorization: 'Bearer ${secret:env/T}'}}", T="t0p-s3cret")
    assert made.url.reveal() == "https://h/x"
    assert dict(made.headers)["Authorization"].reveal() == "Bearer t0p-s3cret"
    assert Secret("t0p-s3cret") in made.confidential


@pytest.mark.parametrize(
    ("block", "codes", "words"),
    [
        ("{}", ["C060"], "no kind"),
        ("", ["C060"], "no kind"),
        ("{kind: claude}", ["C012"], "kind"),
        ("{kind: acp}", ["C062"], "nothing that reaches it"),
        ("{kind: cli}", ["C062"], "nothing that reaches it"),
        ("{kind: scripted}", ["C062"], "nothing that reaches it"),
        ("{kind: a2a}", ["C062"], "nothing that reaches it"),
        ("{kind: codex, args: [x]}", ["C062"], "args without a command"),
        ("{kind: codex, url: 'https://h'}", ["C061"], "url"),
        ("{kind: a2a, url: 'https://h', command: x}", ["C061"], "command"),
        ("{kind: a2a, url: 'https://h', keep: 1}", ["C061"], "keep"),
        ("{kind: acp, command: x, claude: {}}", ["C061"], "claude"),
        ("{kind: acp, command: x, version: 1}", ["C061"], "distribution"),
        ("{kind: a2a, url: 'ftp://h'}", ["C046"], "URL of agent"),
        ("{kind: a2a, url: [x]}", ["C011"], "url"),
        ("{kind: acp, command: 'x \"y'}", ["C015"], "words"),
        ("{kind: acp, command: []}", ["C011"], "command"),
        ("{kind: acp, command: {path: x}}", ["C011"], "command"),
        ("{kind: acp, command: [[x]]}", ["C011"], "command"),
        ("{kind: acp, command: x, args: y}", ["C011"], "args"),
        ("{kind: acp, command: x, acp: {config: {a: [1]}}}", ["C011"], "acp.config.a"),
        ("{kind: acp, command: x, acp: {config: [a]}}", ["C011"], "acp.config"),
        ("{kind: acp, command: x, limits: {usd: much}}", ["C011"], "US dollars"),
        ("{kind: acp, command: x, limits: {usd: -0.5}}", ["C013"], "limits.usd"),
        ("{kind: acp, command: x, colour: red}", ["C010"], "colour"),
        ("{kind: acp, command: x, keep: 99}", ["C013"], "keep"),
        ("{kind: acp, command: x, labels: ['']}", ["C015"], "labels"),
        ("{kind: acp, command: '${secret:env/KEY} x'}", ["C034"], "secret"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(problems, block, codes, words):
    found = problems(block, KEY="hush")
    assert [code for code, _, _ in found] == codes
    assert any(words in message + fix for _, message, fix in found)
    assert all(fix for _, _, fix in found)


def test_an_agent_may_not_have_the_name_of_a_server(loaded):
    found = loaded("mcpServers: {a: {command: x}}\nagents: {a: {kind: codex}}\n").problems
    assert [(str(one.code), one.line) for one in found] == [("C065", 2)]


def test_a_disabled_agent_needs_no_variable_and_no_file(agent):
    made = agent("{kind: cli, profile: no.yaml, env: {A: '${secret:env/NOPE}'}, disabled: true}")
    assert made.disabled
    assert agent("{kind: scripted, script: no.yaml, disabled: true}").disabled


def test_variables_of_an_agent_go_before_those_of_its_registry_entry(agent):
    entry = "{id: x, distribution: {npx: {package: p, env: {A: entry, B: entry}}}}"
    made = agent(f"{{registry: {entry}, env: {{A: mine}}, args: [--more]}}")
    assert {name: value.reveal() for name, value in made.env} == {"A": "mine", "B": "entry"}
    assert made.command == ("npx", "-y", "p", "--more")
    assert (made.kind, made.settings) == (AgentKind.ACP, {"registry": "x"})
