"""What keeps the children of tests: a reaper of each test's own."""

import pytest

from mcp_orchestrator.backends.reaper import Reaper


@pytest.fixture
async def reaper():
    made = Reaper()
    yield made
    await made.aclose()
