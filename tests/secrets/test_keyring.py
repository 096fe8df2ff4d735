"""Secrets in the desktop's keyring."""

import sys
from types import ModuleType

import pytest

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.secrets.keyring import SERVICE, KeyringSecrets


class NoKeyringError(RuntimeError):
    """What the package raises without a desktop session."""


@pytest.fixture
def keyring(monkeypatch):
    """A package with one entry, in the shape of `keyring` 25."""
    entries = {(SERVICE, "docs"): "hunter2"}
    package, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    package.get_password = lambda service, name: entries.get((service, name))
    errors.KeyringError = NoKeyringError
    monkeypatch.setitem(sys.modules, "keyring", package)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return package


def test_an_entry_is_a_secret(keyring):
    assert KeyringSecrets().resolve("docs") == Secret("hunter2")


def test_a_missing_entry_says_how_to_make_one(keyring):
    with pytest.raises(LookupError, match=f"keyring set {SERVICE}"):
        KeyringSecrets().resolve("other")


def test_without_a_working_keyring_other_ways_are_named(keyring):
    def fail(_service, _name):
        raise NoKeyringError

    keyring.get_password = fail
    with pytest.raises(LookupError, match=r"no keyring works here.*secret:env"):
        KeyringSecrets().resolve("docs")


def test_without_the_package_other_ways_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(LookupError, match=r"not installed.*secret:file"):
        KeyringSecrets().resolve("docs")
