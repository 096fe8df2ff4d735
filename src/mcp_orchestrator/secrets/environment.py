"""Secrets in environment variables: `${secret:env/NAME}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mcp_orchestrator.model.snapshot import Secret

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvironmentSecrets:
    """Takes secrets from a mapping of environment variables."""

    scheme: Final = "env"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def resolve(self, name: str) -> Secret:
        """The value of the variable.

        Raises:
            LookupError: the name is none of a variable, or the variable is unset or empty.
        """
        if not _NAME.fullmatch(name):
            raise LookupError("that is not the name of an environment variable: write ${secret:env/NAME}")
        value = self._environ.get(name)
        if value is None:
            raise LookupError("the environment variable is not set: set it before the gateway starts")
        if not value.strip():
            raise LookupError("the environment variable is empty: give it a value before the gateway starts")
        return Secret(value)
