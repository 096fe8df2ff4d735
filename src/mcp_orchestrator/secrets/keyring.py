"""Secrets in the desktop's keyring: `${secret:keyring/NAME}`, when the `keyring` package is installed."""

from __future__ import annotations

import importlib
from typing import Final

from mcp_orchestrator.model.snapshot import Secret

SERVICE: Final = "mcp-orchestrator"
"""The service name under which entries are kept; the entry's user name is the secret's name."""

_ELSE: Final = "use ${secret:env/NAME} or ${secret:file/PATH} instead"


class KeyringSecrets:
    """Takes secrets from the keyring service `mcp-orchestrator`. The package is imported when first needed."""

    scheme: Final = "keyring"

    def resolve(self, name: str) -> Secret:
        """The entry `name`, as `keyring set mcp-orchestrator NAME` stores it.

        Raises:
            LookupError: the package is not installed, no keyring works here, or there is no such entry.
        """
        try:
            keyring = importlib.import_module("keyring")
            errors = importlib.import_module("keyring.errors")
        except ImportError:
            raise LookupError(f"the keyring package is not installed: install it, or {_ELSE}") from None
        try:
            value = keyring.get_password(SERVICE, name)
        except (errors.KeyringError, RuntimeError, OSError):
            raise LookupError(f"no keyring works here (there is none without a desktop session): {_ELSE}") from None
        if not value:
            raise LookupError(f'there is no such entry: run "keyring set {SERVICE} NAME", or {_ELSE}')
        return Secret(value)
