"""What is known of a backend from its past."""

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.runtime.record import Record


def test_a_backend_can_do_what_it_declared_in_the_era_that_is_asked_for():
    record = Record({Era.LEGACY: Offers("one", Era.LEGACY, "", capabilities={"tasks": {}})})
    assert record.abilities(Era.LEGACY) == {"tasks": {}}
    assert record.abilities(Era.MODERN) == {}
