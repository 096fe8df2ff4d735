"""Values of our own sections."""

import pytest

BASE = "mcpServers: {s: {command: x}}\n"


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        ("listeners: {http: {prot: 1}}", "C010", (2, 20), '"port"'),
        ("Observe: {}", "C010", (2, 1), '"observe"'),
        ("context_servers: {}", "C010", (2, 1), '"mcpServers"'),
        ("backends: {s: {start: eagr}}", "C012", (2, 23), '"eager"'),
        ("backends: {s: {maxSessions: 1.5}}", "C011", (2, 29), "whole number"),
        ("backends: {s: {maxSessions: true}}", "C011", (2, 29), "whole number"),
        ("backends: {s: {timeout: -1}}", "C014", (2, 25), "duration"),
        ("backends: {s: {timeout: 0}}", "C013", (2, 25), "50ms"),
        ("backends: {s: {maxResultBytes: 1}}", "C013", (2, 32), "1KiB"),
        ("backends: {s: {inheritEnv: PATH}}", "C011", (2, 28), "list"),
        ("backends: {s: {inheritEnv: [A=1]}}", "C015", (2, 29), "name of an environment variable"),
        ("backends: [s]", "C011", (2, 11), "keys with values"),
        ("observe: {journal: on}", "C011", (2, 20), "write true"),
        ("observe: {logLevel: }", "C011", (2, 21), "no value"),
        ("observe:\n  logLevel:\nlimits: {}", "C011", (3, 12), "no value"),
        ("observe: {logLevel: [info]}", "C011", (2, 21), "not a list"),
        ("profiles: {a/b: {}}", "C015", (2, 12), "profile name"),
        ("listeners: {http: {path: /mcp/}}", "C015", (2, 26), "without a slash"),
        ("listeners: {http: {allowedHosts: ['*.x']}}", "C015", (2, 35), "without wildcards"),
        ("listeners: {http: {allowedOrigins: [x.example]}}", "C015", (2, 37), "https://name"),
        ("policies: [{id: a}]", "C060", (2, 12), "says nothing of what it wants"),
        ("questions: {expire: 8f7a6s5d4f3g2h1j0k9l}", "C014", (2, 21), "duration"),
        ("questions: {mouths: [client, agent]}", "C015", (2, 30), "client or cli"),
        ("observe: {token: 8f7a6s5d4f3g2h1j0k9l}", "C010", (2, 11), "unknown key"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(loaded, text, code, place, words):
    problem = loaded(BASE + text).errors[0]
    assert problem.code == code
    assert (problem.line, problem.column) == place
    assert words in problem.message + problem.fix


def test_sections_without_a_value_count_as_absent(snapshot):
    assert (
        snapshot(BASE + "observe:\nprofiles:\nbackends:\nlisteners: {http: }\nagents:\npolicies:\n").http.port == 8808
    )


def test_references_stand_for_values_of_every_kind(snapshot):
    text = (
        'listeners: {http: {port: "${env:PORT}", host: "${env:HOST:-127.0.0.2}", drain: "${env:DRAIN:-2m}"}}\n'
        'observe: {journal: "${env:JOURNAL}", logLevel: "${env:LEVEL:-debug}"}\n'
        'limits: {pageSize: "${env:PAGE:-12}", listWait: "${env:WAIT:-0.5}"}\n'
    )
    made = snapshot(BASE + text, PORT="9000", JOURNAL="false")
    assert (made.http.port, made.http.host, made.http.drain) == (9000, "127.0.0.2", 120)
    assert (made.observe.journal, made.observe.log_level) == (False, "debug")
    assert (made.page_size, made.list_wait) == (12, 0.5)


def test_the_value_behind_a_reference_is_not_shown(loaded):
    (problem,) = loaded(BASE + 'listeners: {http: {port: "${env:PORT}"}}', PORT="private").problems
    assert problem.code == "C011"
    assert "private" not in problem.render()


def test_the_spellings_of_other_programs_stay_in_server_blocks(loaded):
    (problem,) = loaded(BASE + 'listeners: {http: {port: "${PORT}"}}', PORT="1").problems
    assert problem.code == "C033"
    assert problem.fix == "write ${env:PORT}"


def test_a_literal_secret_outside_server_blocks_is_an_error(loaded):
    text = "agents: {a: {kind: codex, env: {KEY: ghp_abcdefghijklmnopqrstuvwxyz012345}}}"
    assert [str(problem.code) for problem in loaded(BASE + text).problems] == ["C030"]
