import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import version as sdk

from mcp_orchestrator.core.wire.versions import (
    LATEST_LEGACY,
    LATEST_MODERN,
    LEGACY_VERSIONS,
    MODERN_VERSIONS,
    agree_legacy,
    era_of,
)
from mcp_orchestrator.model.call import Era


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
def test_a_legacy_version_that_we_speak_is_agreed_to(version):
    assert era_of(version) is Era.LEGACY
    assert agree_legacy(version) == version


def test_a_modern_version_is_never_agreed_to_by_initialize():
    for version in MODERN_VERSIONS:
        assert era_of(version) is Era.MODERN
        assert agree_legacy(version) == LATEST_LEGACY


@given(st.text() | st.dates().map(str))
def test_an_unknown_version_has_no_era_and_is_answered_with_our_newest(version):
    if version not in (*LEGACY_VERSIONS, *MODERN_VERSIONS):
        assert era_of(version) is None
        assert agree_legacy(version) == LATEST_LEGACY


def test_the_newest_of_each_era_is_the_last_of_its_list():
    assert sorted(LEGACY_VERSIONS) == list(LEGACY_VERSIONS)
    assert sorted(MODERN_VERSIONS) == list(MODERN_VERSIONS)
    assert LATEST_LEGACY < LATEST_MODERN


def test_we_speak_what_the_official_sdk_speaks_and_call_the_same_versions_modern():
    assert sdk.HANDSHAKE_PROTOCOL_VERSIONS == LEGACY_VERSIONS
    assert sdk.MODERN_PROTOCOL_VERSIONS == MODERN_VERSIONS
