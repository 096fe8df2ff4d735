"""Only what is soon over may be asked: the rules stand in `core/test_conditions.py`, the bounds of each here."""

import pytest

from mcp_orchestrator.core.condition_limits import MOST_PATTERNS
from mcp_orchestrator.core.conditions import Condition, Conditions
from mcp_orchestrator.model.rules import Phase


@pytest.fixture(scope="module")
def conditions():
    return Conditions()


@pytest.mark.parametrize(
    "text",
    [
        "args.to.filter(x, !x.endsWith('@corp.example')).size() > 3",
        "args.items.exists(x, x.price > 5 && x.name.contains('gold'))",
        "args.all(k, !string(args[k]).contains('x') || k.startsWith('y'))",
        "args.items.exists(x, x.kind in ['a', 'b'] || x.group in principal.groups)",
        "args.items.all(x, int(x.a) + int(x.b) < 10)",
        "args.items.map(x, x.id).exists(y, y == 'z')",
        "args.rows.exists(r, r.cells.exists(c, c == 'x'))",
        "args.rows.map(r, size(r.cells)).size() == 2",
        " || ".join(["args.s.matches('x')"] * MOST_PATTERNS),
    ],
)
def test_what_people_need_is_allowed(conditions, text):
    assert isinstance(conditions.compile(text, Phase.CALL), Condition)
