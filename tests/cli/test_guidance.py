import json
import sys
from pathlib import Path

from mcp_orchestrator.cli import guidance


def test_every_client_gets_what_it_can_paste():
    steps = guidance.next_steps("http://127.0.0.1:8808/mcp", Path("orchestrator.yaml"))
    assert steps["Claude Code"] == "claude mcp add --transport http orchestrator http://127.0.0.1:8808/mcp"
    blocks = [json.loads(step) for step in steps.values() if step.startswith("{")]
    urls, commands = blocks
    assert urls == {"mcpServers": {"orchestrator": {"url": "http://127.0.0.1:8808/mcp"}}}
    started = commands["mcpServers"]["orchestrator"]
    assert started["args"][-1] == str(Path("orchestrator.yaml").absolute())
    assert Path(started["command"]).is_absolute()
    assert guidance.as_lines(steps)[0] == "What to do next"


def test_a_path_that_a_shell_would_split_is_quoted():
    step = guidance.next_steps("u", Path("my file.yaml"))["Try it here"]
    assert step.endswith('--config "my file.yaml"')


def test_the_program_names_itself_by_what_there_is(monkeypatch, tmp_path):
    script = tmp_path / "mcp-orchestrator"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert guidance.own_command() == [str(script)]
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert guidance.own_command() == [str(script)]
    script.unlink()
    assert guidance.own_command() == [sys.executable, "-m", "mcp_orchestrator"]


def test_what_to_type_next_is_the_program_as_it_was_typed(monkeypatch, tmp_path):
    script = tmp_path / "mcp-orchestrator"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for typed, shown in (
        (str(tmp_path / ".venv" / "bin" / "mcp-orchestrator"), ".venv/bin/mcp-orchestrator"),
        (".venv/bin/mcp-orchestrator", ".venv/bin/mcp-orchestrator"),
        (str(script), "mcp-orchestrator"),
        ("/elsewhere/mcp-orchestrator", "/elsewhere/mcp-orchestrator"),
        ("/usr/lib/python3/__main__.py", "mcp-orchestrator"),
    ):
        monkeypatch.setattr(sys, "argv", [typed])
        assert guidance.typed_command() == shown


def test_where_sign_in_is_required_every_client_is_told_how_it_sends_its_token():
    steps = guidance.next_steps("http://127.0.0.1:8808/mcp", Path("orchestrator.yaml"), sign_in=True)
    first, step = next(iter(steps.items()))
    assert "MCP_ORCHESTRATOR_TOKEN" in first
    assert step.endswith('tokens create NAME --config orchestrator.yaml)"')
    assert steps["Claude Code"].endswith('--header "Authorization: Bearer $MCP_ORCHESTRATOR_TOKEN"')
    cursor = json.loads(steps["Cursor (~/.cursor/mcp.json)"])["mcpServers"]["orchestrator"]
    assert cursor["headers"] == {"Authorization": "Bearer ${env:MCP_ORCHESTRATOR_TOKEN}"}
