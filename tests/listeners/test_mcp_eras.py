"""Envelopes, faces, levels and what a client may be asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.listeners import mcp_eras as eras
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.outcome import Failed

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"
LEVEL = "io.modelcontextprotocol/logLevel"
GOOD = {VERSION: "2026-07-28", CAPABILITIES: {"sampling": {}}, INFO: {"name": "n", "version": "1"}}


@pytest.mark.parametrize("meta", [None, 1, [], "x"])
def test_an_envelope_must_be_an_object(meta):
    refused = eras.envelope_of({"_meta": meta})
    assert isinstance(refused, Failed)
    assert refused.code == -32602


@pytest.mark.parametrize("missing", [VERSION, CAPABILITIES])
def test_a_missing_required_key_is_named(missing):
    refused = eras.envelope_of({"_meta": {key: value for key, value in GOOD.items() if key != missing}})
    assert isinstance(refused, Failed)
    assert missing in refused.message


def test_a_good_envelope_is_the_clients_face():
    face = eras.modern_face(GOOD)
    assert face == ClientFace(Era.MODERN, "2026-07-28", {"sampling": {}}, {"name": "n", "version": "1"})
    without_info = eras.modern_face({**GOOD, INFO: None})
    assert isinstance(without_info, ClientFace)
    assert without_info.info is None


def test_an_unknown_version_is_told_which_are_served():
    refused = eras.modern_face({**GOOD, VERSION: "2099-01-01"})
    assert isinstance(refused, Failed)
    assert refused.code == -32022
    assert refused.data == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    "wrong", [{VERSION: 1}, {CAPABILITIES: None}, {INFO: "x"}, {INFO: {"name": "n"}}, {LEVEL: "loud"}, {LEVEL: []}]
)
def test_a_malformed_envelope_is_invalid_and_no_negotiation(wrong):
    refused = eras.modern_face({**GOOD, **wrong})
    assert isinstance(refused, Failed)
    assert refused.code == -32602


def test_initialize_agrees_on_the_version_or_offers_the_newest_legacy_one():
    assert eras.legacy_face({"protocolVersion": "2025-03-26"}, "s").version == "2025-03-26"
    assert eras.legacy_face({"protocolVersion": "2026-07-28"}, "s").version == "2025-11-25"
    assert eras.legacy_face({"protocolVersion": "x"}, "s").session == "s"
    for wrong in ({}, {"protocolVersion": 1}, {"protocolVersion": "x", "capabilities": 1}):
        assert eras.legacy_face(wrong, "s").code == -32602
    assert eras.legacy_face({"protocolVersion": "x", "clientInfo": 1}, "s").code == -32602


@given(st.sampled_from(list(eras.LOG_LEVELS)), st.sampled_from(list(eras.LOG_LEVELS)))
def test_a_message_passes_a_level_that_is_not_more_severe(level, least):
    order = list(eras.LOG_LEVELS)
    assert eras.passes_level({"level": level}, least) is (order.index(level) >= order.index(least))
    assert eras.passes_level({"level": "vendor"}, least)
    assert eras.passes_level({}, least)
