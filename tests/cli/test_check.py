import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands


@pytest.fixture
def check(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, ["check", *words])


def test_a_right_file_is_said_to_be_right(check, configured):
    path = configured()
    shown = check(str(path))
    assert (shown.exit_code, shown.stdout) == (0, f"{path} is right: 2 backends, 1 profile.\n")


def test_the_file_is_found_without_being_named(check, configured):
    configured()
    shown = check("--format", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "ok": True,
        "file": str(configured()),
        "problems": [],
        "backends": ["clock", "notes"],
        "agents": [],
        "profiles": ["times"],
    }


def test_all_problems_are_shown_at_once_with_place_and_fix(check, tmp_path):
    (tmp_path / "wrong.yaml").write_text("mcpServers:\n  a: {comand: x}\n  b: {}\nlisteners: {http: {port: high}}\n")
    shown = check("wrong.yaml")
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert shown.stderr.count("error C") >= 3
    assert "wrong.yaml:4:" in shown.stderr
    told = json.loads(check("wrong.yaml", "--format", "json").stdout)
    assert told["ok"] is False
    assert all(problem["code"].startswith("C") and problem["file"] for problem in told["problems"])


def test_a_missing_file_and_no_file_at_all_are_exit_code_2(check):
    assert check("nowhere.yaml").exit_code == 2
    nothing = check("--format", "json")
    assert nothing.exit_code == 2
    assert json.loads(nothing.stdout)["file"] is None


def test_warnings_refuse_only_when_strict(check, configured):
    path = configured(
        mcpServers={"web": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer sesame-1234567"}}}
    )
    relaxed, strict = check(str(path)), check(str(path), "--strict")
    assert (relaxed.exit_code, strict.exit_code) == (0, 2)
    assert "1 warning" in relaxed.stdout
    assert "sesame" not in relaxed.output + strict.output


def test_two_different_files_are_a_usage_error(check):
    assert check("a.yaml", "--config", "b.yaml").exit_code == 2


def test_foreign_text_of_a_file_cannot_reach_the_terminal(check, tmp_path):
    (tmp_path / "bad.yaml").write_text('mcpServers: {"a\\e[2Jb.c": {command: x}}\n')
    assert "\x1b" not in check("bad.yaml").output
