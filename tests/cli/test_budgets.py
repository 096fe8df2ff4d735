"""What budgets have left is read beside a running gateway and without one."""

import json

import pytest
from click.testing import CliRunner

from mcp_orchestrator.cli.main import commands

BUDGETS = [
    {
        "id": "day",
        "per": ["caller"],
        "limit": {"usd": 0.03, "seconds": "1h"},
        "window": "day",
        "timeZone": "Asia/Tokyo",
    },
    {"id": "all", "limit": {"calls": 100}, "window": "total"},
]
PRICES = {"tools": {"clock.*": 0.01}}


@pytest.fixture
def cli(tmp_path, tmp_state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(commands, list(words))


def accounts(cli):
    shown = json.loads(cli("budgets", "list", "--format", "json").stdout)
    return {(one["id"], account["unit"]): account for one in shown for account in one["accounts"]}


def test_budgets_that_nobody_has_touched_are_listed_with_their_limits(cli, configured):
    configured(budgets=BUDGETS, prices=PRICES)
    shown = cli("budgets", "list")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()[1:]]
    assert ["day", "-", "usd", "0", "0", "$0.03", "$0.03", "-"] in lines
    assert ["all", "-", "calls", "0", "0", "100", "100", "-"] in lines


def test_calls_are_charged_and_refused_with_their_own_exit_code_and_all_of_it_is_kept(cli, configured):
    configured(budgets=BUDGETS, prices=PRICES)
    codes = [cli("tools", "call", "clock.now").exit_code for _ in range(4)]
    assert codes == [0, 0, 0, 6]
    found = accounts(cli)
    assert (found["day", "usd"]["spent"], found["day", "usd"]["left"]) == (0.03, 0)
    assert found["all", "calls"]["spent"] == 3
    assert found["all", "calls"]["ends"] is None
    assert 0 < found["day", "seconds"]["spent"] < 60
    shown = cli("budgets", "show", "day").stdout
    assert "Asia/Tokyo" in shown
    assert "$0.03" in shown


def test_a_plan_says_that_there_is_nothing_left_and_ends_as_the_call_would(cli, configured):
    configured(budgets=BUDGETS, prices=PRICES)
    for _ in range(3):
        cli("tools", "call", "clock.now")
    shown = cli("plan", "--call", "clock.now")
    assert shown.exit_code == 6
    assert "over budget: 'day' of caller=" in shown.stdout


def test_a_running_gateway_and_commands_keep_the_same_accounts(cli, configured, served):
    served(configured(budgets=BUDGETS, prices=PRICES)).wait_for("listening")
    assert cli("tools", "call", "clock.now").exit_code == 0
    assert accounts(cli)["day", "usd"]["spent"] == 0.01
    assert "$0.02 left" in cli("plan", "--call", "clock.now").stdout


def test_a_budget_that_is_not_there_is_told_with_the_closest_one(cli, configured):
    configured(budgets=BUDGETS)
    shown = cli("budgets", "show", "dya")
    assert shown.exit_code == 2
    assert "day" in shown.stderr


def test_a_configuration_without_budgets_says_so(cli, configured):
    configured()
    shown = cli("budgets", "list")
    assert (shown.exit_code, shown.stdout.strip()) == (0, "")
    assert "no budgets" in shown.stderr
