"""`budgets`: lists and shows budgets with what is spent, held and left, and when their windows end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.loading import Configuration, require
from mcp_orchestrator.cli.options import config_before, config_option, format_option, printer
from mcp_orchestrator.cli.printing import Style, safe_line
from mcp_orchestrator.config.diagnose import did_you_mean
from mcp_orchestrator.model.budget import Balance, BudgetSpec, Unit, UnknownPrice, WindowKind

_MICRO: Final = 1_000_000
_HEADINGS: Final = ["BUDGET", "FOR", "UNIT", "SPENT", "HELD", "LEFT", "LIMIT", "WINDOW ENDS"]


@click.group("budgets")
@config_before
@format_option
def command() -> None:
    """List and show budgets."""


@command.command("list")
@config_option
@format_option
def list_(config: Path | None) -> int:
    """List the budgets and how they stand, each for whom it is counted apart."""
    out = printer()
    configuration = require(config, out)
    found = [_told(spec, _accounts(configuration, spec)) for spec in configuration.snapshot.budgets]
    if not found:
        out.note("The configuration has no budgets.")
    rows = [row for one in found for row in _rows(one)]
    out.result(found, out.table(_HEADINGS, rows) if rows else "")
    return Exit.DONE


@command.command("show")
@config_option
@format_option
@click.argument("budget")
def show(config: Path | None, budget: str) -> int:
    """Show one budget: what it is for, what happens when it is used up, and how it stands."""
    out = printer()
    configuration = require(config, out)
    spec = next((spec for spec in configuration.snapshot.budgets if spec.id == budget), None)
    if spec is None:
        names = [spec.id for spec in configuration.snapshot.budgets]
        fix = did_you_mean(budget, names) if names else "add budgets to the configuration"
        raise Ended(Exit.USAGE, f"there is no budget '{safe_line(budget)}'", fix=fix)
    found = _told(spec, _accounts(configuration, spec))
    facts = {
        "per": ", ".join(spec.per) or "all together",
        "window": f"{spec.window.seconds} s" if spec.window.kind is WindowKind.EVERY else spec.window.kind.value,
        "time zone": spec.window.zone,
        "warned at": f"{spec.soft:.0%}",
        "when exceeded": spec.on_exceeded.value,
        "approvers": ", ".join(spec.approvers),
        "unknown price": _unknown(spec),
        "defined in": spec.where,
    }
    lines = "\n".join(f"{name:<14} {safe_line(value)}" for name, value in facts.items())
    table = out.table(_HEADINGS, _rows(found))
    out.result(found, f"{out.paint(spec.id, Style.STRONG)}\n{lines}\n\n{table}")
    return Exit.DONE


def _accounts(configuration: Configuration, spec: BudgetSpec) -> list[Balance]:
    """The accounts of a budget: those that were used in this window, by the limits of the configuration."""
    from mcp_orchestrator.storage.choice import database_of  # noqa: PLC0415 - only what is used
    from mcp_orchestrator.storage.statements import read_balances  # noqa: PLC0415 - only what is used
    from mcp_orchestrator.storage.trouble import StorageError  # noqa: PLC0415

    try:
        found = read_balances(database_of(configuration.snapshot.storage), time.time())
    except StorageError as error:
        raise Ended(Exit.UNREACHABLE, str(error)) from error
    return [balance for balance in found if balance.budget == spec.id]


def _told(spec: BudgetSpec, balances: Sequence[Balance]) -> dict[str, Any]:
    """A budget as plain JSON data; money in dollars, time in seconds."""
    now = time.time()
    return {
        "id": spec.id,
        "per": list(spec.per),
        "window": spec.window.kind.value,
        "timeZone": spec.window.zone,
        "limit": {unit.value: _quantity(unit.value, limit) for unit, limit in spec.limits.items()},
        "onExceeded": spec.on_exceeded.value,
        "where": spec.where,
        "accounts": [_account(balance, now) for balance in balances],
    }


def _account(balance: Balance, now: float) -> dict[str, Any]:
    unit = balance.unit
    return {
        "for": balance.key,
        "unit": unit,
        "window": balance.window,
        "ends": _time(balance.ends),
        "spent": _quantity(unit, balance.spent),
        "held": _quantity(unit, balance.reserved),
        "left": _quantity(unit, balance.left(now)),
        "limit": _quantity(unit, balance.limit),
        "raised": _quantity(unit, balance.raised) if balance.raised_until > now else 0,
        "raisedUntil": _time(balance.raised_until) if balance.raised_until > now else None,
    }


def _rows(told: Mapping[str, Any]) -> list[list[str]]:
    """The lines of the table: one for each account, or one for each limit that nobody has touched yet."""
    if not told["accounts"]:
        return [
            [told["id"], "-", unit, "0", "0", _shown(unit, limit), _shown(unit, limit), "-"]
            for unit, limit in told["limit"].items()
        ]
    return [
        [
            told["id"],
            one["for"].replace("&", ", ") or "all",
            one["unit"],
            *(_shown(one["unit"], one[key]) for key in ("spent", "held", "left")),
            _shown(one["unit"], one["limit"] + one["raised"]) + (" (raised)" if one["raised"] else ""),
            one["ends"] or "never",
        ]
        for one in told["accounts"]
    ]


def _quantity(unit: str, value: int) -> float:
    if unit == Unit.USD.value:
        return value / _MICRO
    return value / 1000 if unit == Unit.SECONDS.value else value


def _shown(unit: str, value: float) -> str:
    if unit == Unit.USD.value:
        return f"${value:.2f}" if round(value * 100) / 100 == value else f"${value:.6f}".rstrip("0")
    return f"{value:g} s" if unit == Unit.SECONDS.value else f"{value:g}"


def _time(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _unknown(spec: BudgetSpec) -> str:
    match spec.unknown:
        case UnknownPrice.DENY:
            return "refused"
        case UnknownPrice.FLAT:
            return f"counts as {_shown('usd', spec.price / _MICRO)}"
        case UnknownPrice.UNMEASURED:
            return f"{spec.price} such calls in a window"
