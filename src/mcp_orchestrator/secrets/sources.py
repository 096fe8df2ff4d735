"""All sources of secrets together, as the configuration loader wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.plugin_api import SecretSource
from mcp_orchestrator.secrets.environment import EnvironmentSecrets
from mcp_orchestrator.secrets.files import FileSecrets
from mcp_orchestrator.secrets.keyring import KeyringSecrets


def sources(environ: Mapping[str, str], directory: Path) -> tuple[SecretSource, ...]:
    """Every built-in source. `directory` is that of the configuration file: relative secret files count from it."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return EnvironmentSecrets(environ), FileSecrets(directory, home), KeyringSecrets()


def resolvers(environ: Mapping[str, str], directory: Path) -> dict[str, Callable[[str], Secret]]:
    """By scheme, what resolves a name: the `secrets` argument of `config.load.load`."""
    return {source.scheme: source.resolve for source in sources(environ, directory)}
