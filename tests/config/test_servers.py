"""Server blocks of other programs, verbatim."""

import pytest

from mcp_orchestrator.config.sections import BASIC_ENVIRONMENT
from mcp_orchestrator.model.snapshot import EraPolicy, Secret, StartPolicy, TransportKind


def shape(spec):
    """A specification with secrets uncovered."""
    uncover = lambda value: value.reveal() if isinstance(value, Secret) else value  # noqa: E731
    return {
        "transport": spec.transport,
        "command": spec.command,
        "args": [uncover(item) for item in spec.args],
        "env": {name: uncover(value) for name, value in spec.env},
        "url": uncover(spec.url),
        "headers": {name: uncover(value) for name, value in spec.headers},
    }


STDIO = {"transport": TransportKind.STDIO, "url": None, "headers": {}}
REMOTE = {"command": "", "args": [], "env": {}}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        # Claude Desktop, Claude Code 2.1
        ('{"command": "npx", "args": ["-y", "p"], "env": {"K": "v"}}',
         {**STDIO, "command": "npx", "args": ["-y", "p"], "env": {"K": "v"}}),
        ('{"type": "stdio", "command": "${CMD:-uvx}", "args": ["${A}"], "env": {}}',
         {**STDIO, "command": "uvx", "args": ["one"], "env": {}}),
        ('{"type": "http", "url": "https://x.example/mcp", "headers": {"Authorization": "Bearer ${A}"}}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "https://x.example/mcp", "headers": {"Authorization": "Bearer one"}}),
        ('{"type": "sse", "url": "https://x.example/events"}',
         {**REMOTE, "transport": TransportKind.SSE, "url": "https://x.example/events", "headers": {}}),
        # Cursor 3: no type; ${env:...} and ${userHome}
        ('{"url": "http://localhost:3000/mcp", "headers": {"K": "${env:A}"}}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "http://localhost:3000/mcp", "headers": {"K": "one"}}),
        ('{"url": "http://localhost:3000/sse"}',
         {**REMOTE, "transport": TransportKind.SSE, "url": "http://localhost:3000/sse", "headers": {}}),
        ('{"command": "python", "args": ["${userHome}/s.py"]}',
         {**STDIO, "command": "python", "args": ["/home/ada/s.py"], "env": {}}),
        # Gemini CLI
        ('{"httpUrl": "https://x.example/sse", "timeout": 5000, "trust": true, "headers": {"A": "b"}}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "https://x.example/sse", "headers": {"A": "b"}}),
        # Cline 3, Roo Code 3
        ('{"type": "streamableHttp", "url": "https://x.example/mcp", "disabled": false, "autoApprove": []}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "https://x.example/mcp", "headers": {}}),
        ('{"type": "streamable-http", "url": "https://x.example/mcp", "alwaysAllow": ["a"], "timeout": 60}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "https://x.example/mcp", "headers": {}}),
        # Windsurf
        ('{"serverUrl": "https://x.example/mcp"}',
         {**REMOTE, "transport": TransportKind.HTTP, "url": "https://x.example/mcp", "headers": {}}),
        # Zed, new and old
        ('{"source": "custom", "command": "node", "args": ["s.js"], "env": null}',
         {**STDIO, "command": "node", "args": ["s.js"], "env": {}}),
        ('{"command": {"path": "node", "args": ["s.js"], "env": null}}',
         {**STDIO, "command": "node", "args": ["s.js"], "env": {}}),
        # opencode
        ('{"type": "local", "command": ["node", "s.js"], "enabled": true, "environment": {"A": 8080, "B": 1.10, "C": true}}',
         {**STDIO, "command": "node", "args": ["s.js"], "env": {"A": "8080", "B": "1.10", "C": "true"}}),
    ],
)  # fmt: skip
def test_blocks_of_other_programs_are_read_verbatim(server, block, expected):
    assert shape(server(block, A="one")) == expected


def test_the_servers_key_of_vs_code_is_read_too(snapshot):
    text = '{"inputs": [{"id": "k", "type": "promptString"}], "servers": {"s": {"type": "stdio", "command": "x"}}}'
    assert snapshot(text).backends["s"].command == "x"


@pytest.mark.parametrize(
    ("block", "seconds"),
    [
        ("{command: x, timeout: 30}", 30), ("{command: x, timeout: 60000}", 60), ("{command: x, timeout: 90s}", 90),
        ("{httpUrl: 'http://h/', timeout: 2000}", 2), ("{command: x, trust: true, timeout: 600000}", 600),
        ("{command: x, alwaysAllow: [], timeout: 3600}", 3600), ("{command: x, autoApprove: [], timeout: 1800}", 1800),
        ("{command: x}", 300),
    ],
)  # fmt: skip
def test_the_unit_of_a_timeout_is_that_of_its_program(server, block, seconds):
    assert server(block).timeout == seconds


def test_backends_settings_win_over_the_block(snapshot):
    made = snapshot(
        "mcpServers: {s: {command: x, timeout: 2000, disabled: true}}\n"
        "backends: {s: {timeout: 7s, disabled: false, start: eager, era: legacy, idleStop: 1m, startTimeout: 2m,"
        " maxResultBytes: 1MiB, maxSessions: 3, inheritEnv: [SSH_AUTH_SOCK, PATH]}}"
    ).backends["s"]
    assert (made.timeout, made.disabled, made.start, made.era) == (7, False, StartPolicy.EAGER, EraPolicy.LEGACY)
    assert (made.idle_stop, made.start_timeout, made.max_result_bytes, made.max_sessions) == (60, 120, 2**20, 3)
    assert made.inherit_env == (*BASIC_ENVIRONMENT, "SSH_AUTH_SOCK")


@pytest.mark.parametrize("block", ["{command: x, disabled: true}", "{command: x, enabled: false}"])
def test_a_disabled_server_is_kept_as_such(server, block):
    assert server(block).disabled


def test_the_references_of_a_disabled_server_are_not_looked_up(server):
    made = server('{command: x, env: {A: "${env:NOPE}"}, args: ["${secret:none/x}"], disabled: true}')
    assert made.disabled


def test_a_directory_counts_from_the_file(server, tmp_path):
    assert server("{command: x, cwd: sub}").cwd == str(tmp_path / "sub")
    assert server("{command: x, cwd: ~/sub}").cwd == "/home/ada/sub"
    assert server("{command: x}").cwd is None


def test_where_names_file_and_line(server, tmp_path):
    assert server("{command: x}").where == f"{tmp_path / 'orchestrator.yaml'}:2"


def test_odd_but_usable_names_are_kept(snapshot):
    assert list(snapshot('mcpServers: {"my server": {command: x}, "día": {command: y}}').backends) == [
        "my server",
        "día",
    ]


@pytest.mark.parametrize("name", ['""', "a.b", "a/b", '"' + "x" * 65 + '"', '" "', '"a\\tb"'])
def test_unusable_names_are_refused(codes, name):
    assert codes(f"mcpServers: {{{name}: {{command: x}}}}") == ["C040"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("{}", ["C042"]), ("", ["C042"]), ("x", ["C011"]), ("[]", ["C042"]), ("{command: x, url: 'http://h/'}", ["C043"]),
        ("{type: http, command: x}", ["C043"]), ("{type: stdio, url: 'http://h/'}", ["C043"]),
        ("{type: ws, url: 'http://h/'}", ["C043"]), ("{command: x, args: y}", ["C011"]),
        ("{command: x, args: [[y]]}", ["C011"]), ("{command: x, args: [null]}", ["C011"]),
        ("{command: x, env: [A=b]}", ["C011"]), ("{command: x, env: {A: }}", ["C011"]),
        ("{command: x, disabled: maybe}", ["C011"]), ("{command: x, timeout: soon}", ["C011"]),
        ("{command: x, timeout: 0}", ["C013"]), ("{command: '  '}", ["C011"]), ("{command: [[x]]}", ["C011"]),
        ("{command: x, headers: {A: b}}", ["C044"]), ("{url: 'http://h/', env: {A: b}, cwd: x}", ["C044", "C044"]),
        ("{command: x, colour: red, envFile: .env}", ["C010", "C044"]), ("{command: x, includeTools: []}", []), ("{command: x, cwd: [a]}", ["C011"]),
        ("{command: x, excludeTools: rm}", ["C011"]), ("{command: x, tools: {a: true}}", ["C011"]),
        ("{command: x, disabledTools: [[a]]}", ["C011"]),
        ("{url: {a: b}}", ["C011"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_block_is_told(codes, block, expected):
    assert codes(f"mcpServers:\n  s: {block}\n") == expected


def test_a_misspelt_key_gets_a_suggestion(loaded):
    (problem,) = loaded("mcpServers: {s: {command: x, arg: [y]}}").problems
    assert problem.fix == 'did you mean "args"?'


def test_servers_must_be_given_by_name(codes):
    assert codes("mcpServers: [{command: x}]") == ["C011"]


@pytest.mark.parametrize(
    ("block", "include", "exclude"),
    [
        ("{command: x}", None, ()), ("{command: x, includeTools: null}", None, ()),
        ("{command: x, includeTools: [a, 'b(rm -rf)'], excludeTools: [c]}", ("a", "b"), ("c",)),  # Gemini CLI
        ("{command: x, includeTools: []}", (), ()), ("{command: x, disabledTools: [a]}", None, ("a",)),  # Roo Code
        ("{command: x, enabled_tools: [a], disabled_tools: [b]}", ("a",), ("b",)),  # Codex
        ("{command: x, tools: ['*']}", ("*",), ()), ("{command: x, allowedTools: [a], tools: [b]}", ("a", "b"), ()),
        ("{url: 'http://h/', excludeTools: [a]}", None, ("a",)),
    ],
)  # fmt: skip
def test_the_tools_that_a_block_leaves_out_are_left_out(server, block, include, exclude):
    spec = server(block)
    assert (spec.include, spec.exclude) == (include, exclude)


def test_a_name_with_a_bare_dollar_is_told_since_only_one_program_would_fill_it_in(loaded):
    result = loaded("mcpServers: {s: {command: sh, args: ['$HOME'], env: {K: $MY_TOKEN, L: 'cost $5', M: 'a$b c'}}}")
    (problem,) = result.problems
    assert (str(problem.code), problem.fix) == ("C033", "write ${NAME} if the variable is meant")
    assert dict(result.snapshot.backends["s"].env)["K"].reveal() == "$MY_TOKEN"


def test_a_lost_colon_is_told(loaded):
    (problem,) = loaded("mcpServers:\n  time {command: x}\n").problems
    assert problem.fix == "a colon is missing: time: {…}"


def test_what_follows_the_name_of_a_variable_is_no_secret(snapshot):
    arguments = '["run", "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "ghcr.io/github/github-mcp-server"]'
    assert (
        snapshot(f"mcpServers: {{s: {{command: docker, args: {arguments}}}}}").backends["s"].args[-1].endswith("server")
    )
