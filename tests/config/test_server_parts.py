"""Arguments, environment, headers and address of a server."""

import pytest

from mcp_orchestrator.model.snapshot import Secret

TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz012345"


def test_arguments_are_secret_when_filled_in_or_when_they_look_like_it(loaded):
    text = f'{{command: x, args: [-y, "${{env:A}}", --api-key, abc, "--token=abc", {TOKEN}, "pg://u:p@h/d", plain]}}'
    made = loaded(f"mcpServers:\n  s: {text}", A="one").snapshot.backends["s"]
    kinds = [type(item) for item in made.args]
    assert kinds == [str, Secret, str, Secret, Secret, Secret, Secret, str]
    assert made.args[1] == Secret("one")


@pytest.mark.parametrize(
    "block",
    [
        f"{{command: x, env: {{ANY: {TOKEN}}}}}",
        "{command: x, env: {API_KEY: 8f7a6s5d4f3g2h1j0k9l}}",
        f"{{command: x, args: [--key={TOKEN}]}}",
        "{command: x, args: [--api-key, 8f7a6s5d4f3g2h1j0k9l]}",
        "{command: docker, args: [-e, API_KEY=8f7a6s5d4f3g2h1j0k9l]}",
        f"{{url: 'https://h/', headers: {{Authorization: Bearer {TOKEN}}}}}",
        f"{{url: 'https://h/?key={TOKEN}'}}",
    ],
)
def test_a_secret_written_out_is_a_warning_and_works(loaded, block):
    result = loaded(f"mcpServers:\n  s: {block}")
    assert [(str(problem.code), str(problem.severity)) for problem in result.problems] == [("C030", "warning")]
    assert "8f7a6s5d4f3g2h1j0k9l" not in result.problems[0].render() + repr(result)
    assert TOKEN not in result.problems[0].render() + repr(result)


def test_a_secret_by_reference_is_no_warning(server):
    made = server('{url: "https://h/", headers: {Authorization: "Bearer ${secret:env/T}"}}', T=TOKEN)
    assert made.headers == (("Authorization", Secret(f"Bearer {TOKEN}")),)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://h/", "C046"), ("h/mcp", "C046"), ("http://", "C046"), ("http://h:99999/", "C046"), ("http://h:0/", "C046"),
        ("http://u:p@h/", "C046"), ("http://h/a b", "C046"), ("http://[::1", "C046"), ("https://[::1]:8/mcp", None),
        ("http://h:8080/mcp?a=b", None),
    ],
)  # fmt: skip
def test_an_address_is_http_without_credentials(codes, url, code):
    assert codes(f'mcpServers: {{s: {{url: "{url}"}}}}') == ([code] if code else [])


@pytest.mark.parametrize(
    "headers",
    ['{"a b": c}', '{"": c}', "{Content-Length: 1}", "{Transfer-Encoding: x}", "{A: b, a: c}", '{A: "b\\nc: d"}', '{A: "\\u4e2d"}'],
)  # fmt: skip
def test_headers_that_would_break_a_request_are_refused(codes, headers):
    assert codes(f"mcpServers: {{s: {{url: 'http://h/', headers: {headers}}}}}") == ["C047"]


def test_a_line_end_behind_a_reference_cannot_make_a_second_header(codes):
    text = "mcpServers: {s: {url: 'http://h/', headers: {A: '${env:V}'}}}"
    assert codes(text, V="x\r\nB: y") == ["C047"]
    assert codes(text, V=" x\n") == []


@pytest.mark.parametrize("env", ['{"A=B": c}', '{"": c}', '{A: "${env:V}"}'])
def test_variables_that_cannot_be_set_are_refused(codes, env):
    assert codes(f"mcpServers: {{s: {{command: x, env: {env}}}}}", V="a\0b") == ["C047"]


def test_the_secret_words_of_a_definition_are_known(server):
    block = (
        "{command: x, args: [--api-key, '${A}', --token=inline-7, -v, verbose-level],"
        " env: {MY_TOKEN: tok-5678, PLAIN: plain-value, SHORT_KEY: abc, HIDDEN: '${secret:env/B}'}}"
    )
    found = {secret.reveal() for secret in server(block, A="argument-1", B="hidden-2").confidential}
    assert found == {"argument-1", "--token=inline-7", "inline-7", "tok-5678", "hidden-2"}


def test_the_secret_words_of_a_remote_definition_are_known(server):
    block = (
        "{url: 'http://h/mcp?key=${A}&page=seventeen', headers: {Authorization: 'Bearer ${A}x', Accept: 'text/plain'}}"
    )
    found = {secret.reveal() for secret in server(block, A="query-1").confidential}
    assert found == {"query-1", "seventeen", "Bearer query-1x", "query-1x"}
