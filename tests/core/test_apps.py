"""Who is shown the tools that are for MCP Apps alone."""

import pytest

from mcp_orchestrator.core.apps import EXTENSION, HTML, for_apps_alone, shows_apps


@pytest.mark.parametrize(
    ("capabilities", "shows"),
    [
        ({}, False),
        ({"extensions": {}}, False),
        ({"extensions": [EXTENSION]}, False),
        ({"extensions": {EXTENSION: None}}, False),
        ({"extensions": {EXTENSION: {"mimeTypes": ["text/uri-list"]}}}, False),
        ({"extensions": {EXTENSION: {"mimeTypes": ["text/uri-list", HTML]}}}, True),
        ({"extensions": {EXTENSION: {}}}, True),
        ({"extensions": {EXTENSION: {"mimeTypes": 5}}}, True),
    ],
)
def test_a_client_shows_apps_if_it_declared_the_extension_with_the_kind_that_there_is(capabilities, shows):
    assert shows_apps(capabilities) is shows


@pytest.mark.parametrize(
    ("meta", "alone"),
    [
        (None, False),
        ({}, False),
        ({"ui": {"resourceUri": "ui://a"}}, False),
        ({"ui": {"visibility": ["model", "app"]}}, False),
        ({"ui": {"visibility": ["model"]}}, False),
        ({"ui": {"visibility": ["app"]}}, True),
        ({"ui": {"visibility": []}}, True),
        ({"ui": {"visibility": "app"}}, False),
        ({"ui": ["app"]}, False),
    ],
)
def test_a_tool_is_for_apps_alone_if_its_visibility_names_no_model(meta, alone):
    assert for_apps_alone({"name": "t", "inputSchema": {}} | ({"_meta": meta} if meta is not None else {})) is alone
