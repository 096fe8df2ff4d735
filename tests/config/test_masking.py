"""What looks like a secret."""

import pytest

from mcp_orchestrator.config.document import Place
from mcp_orchestrator.config.masking import (
    guess_ranges,
    is_secret_name,
    looks_secret,
    mask_line,
    secret_argument,
    shown,
)


@pytest.mark.parametrize(
    "value",
    [
        "sk-abcdefghijklmnop1234", "sk-ant-REDACTEDLOOKING-abc123", "sk-proj-abcdefghijklmnop", "sk_live_abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz012345", "github_pat_11ABCDEFG0abcdefghijkl", "glpat-abcdefghijklmnopqrst",
        "xoxb-1234567890-abcdef", "AKIAIOSFODNN7EXAMPLQ", "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "Bearer abcdefghijklmnopqrstuvwxyz", "Basic dXNlcjpwYXNzd29yZA==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "hf_abcdefghijklmnopqrstuvwxyz",
    ],
)  # fmt: skip
def test_known_token_forms_are_secrets_under_any_name(value):
    if "REDACTED" not in value and "EXAMPL" not in value:
        assert looks_secret(value)
    assert looks_secret(value.replace("REDACTEDLOOKING", "api03").replace("EXAMPLQ", "QWERTYQ"))


@pytest.mark.parametrize(
    "name", ["API_KEY", "apiKey", "token", "DB_PASSWORD", "client-secret", "Authorization", "X-Key"]
)
def test_random_text_under_a_telling_name_is_a_secret(name):
    assert is_secret_name(name)
    assert looks_secret("8f7a6s5d4f3g2h1j0k9l", name)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("8f7a6s5d4f3g2h1j0k9l", "revision"), ("YOUR_API_KEY_HERE", "API_KEY"), ("<your token>", "token"),
        ("${secret:env/DOCS_TOKEN}", "token"), ("Bearer ${secret:env/DOCS_TOKEN}", "Authorization"),
        ("short", "password"), ("/run/secrets/token", "TOKEN_FILE"), ("https://x.example/token", "TOKEN_URL"),
        ("a b c d e f g h i j k", "token"), ("@modelcontextprotocol/server-filesystem", ""), ("mcp-server-time", ""),
    ],
)  # fmt: skip
def test_references_fillers_and_ordinary_words_are_none(value, name):
    assert not looks_secret(value, name)


@pytest.mark.parametrize("name", ["monkey", "keyboard", "include", "path", "port", "authorName"])
def test_ordinary_names_do_not_tell_of_secrets(name):
    assert not is_secret_name(name)


def test_the_value_of_a_telling_flag_is_a_secret():
    assert secret_argument("--api-key", "abc")
    assert secret_argument(None, "--token=abc")
    assert not secret_argument("--api-key", "--verbose")
    assert secret_argument("-e", "API_KEY=abc")
    assert secret_argument("--header", "Authorization: abc")
    assert secret_argument(None, "postgresql://u:p@host/db")
    assert not secret_argument("--directory", "abc")
    assert not secret_argument(None, "https://example.com/token")


def test_quoted_values_are_short_one_line_and_never_secret():
    assert shown("a\nb\x1b[31m") == '"a b [31m"'
    assert len(shown("x" * 500)) < 70
    assert shown("ghp_abcdefghijklmnopqrstuvwxyz012345") == "<secret>"
    assert shown("https://u:p@host/") == "<secret>"


def test_tokens_in_comments_are_masked_too():
    line = "a: 1 # ghp_abcdefghijklmnopqrstuvwxyz012345"
    assert mask_line(line, 1, []) == [(7, len(line))]


def test_a_span_over_several_lines_hides_each_of_them():
    spans = [(Place(1, 4), Place(3, 3))]
    assert mask_line("k: |", 1, spans) == [(3, 4)]
    assert mask_line("  abc", 2, spans) == [(2, 5)]
    assert mask_line("zz end", 3, spans) == [(0, 2)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("env:\n  PLAIN: hunter2 pass\n  B: [", 2),
        ("s:\n  env:\n    A: x\n\n    B: hunter2 pass", 5),
        ("s: {command: x, env: {A: hunter2 pass", 1),
        ("headers:\n  Authorization: hunter2 pass", 2),
        ("password: hunter2 pass", 1),
        ("env:\n  - A=hunter2", 2),
    ],
)
def test_in_an_unparsed_file_values_near_env_and_headers_are_hidden(text, number):
    lines = text.split("\n")
    line = lines[number - 1]
    for first, last in reversed(guess_ranges(lines, number)):
        line = line[:first] + "<secret>" + line[last:]
    assert "hunter2" not in line
    assert "pass" not in line.replace("password", "")
