from mcp_orchestrator.cli.reasons import reason_lines


def test_a_reason_is_one_harmless_line():
    reasons = [
        {"step": "policy", "text": "no\nway\x1b", "rule": "r1", "where": "a.yaml:3"},
        {"step": "route", "text": "on", "rule": "", "where": ""},
        "odd",
    ]
    assert reason_lines(reasons) == ["policy    no\\nway\\x1b (r1, a.yaml:3)", "route     on", "odd"]
