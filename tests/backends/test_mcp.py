"""A transport decides which adapter speaks to a server."""

import pytest
from stdio_kit import spec

from mcp_orchestrator.backends.mcp import McpKind, create
from mcp_orchestrator.backends.reaper import Reaper
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.snapshot import BackendSpec, EraPolicy, Secret, TransportKind
from mcp_orchestrator.plugin_api import Backend


@pytest.mark.parametrize("transport", list(TransportKind))
def test_every_transport_has_its_adapter(transport):
    made = create(BackendSpec("x", transport, command="x", url=Secret("http://127.0.0.1:1/mcp")), Reaper())
    backend: Backend = made
    assert backend.name == "x"
    assert Era.LEGACY in backend.eras


def test_the_kind_makes_backends_with_its_own_reaper():
    kind = McpKind(Reaper())
    assert (kind.key, kind.create(spec(name="raw")).name) == ("mcp", "raw")


@pytest.mark.parametrize("era", list(Era))
def test_a_fixed_era_leaves_no_choice(era):
    assert list(create(spec(era=EraPolicy(era.value)), Reaper()).eras) == [era]
