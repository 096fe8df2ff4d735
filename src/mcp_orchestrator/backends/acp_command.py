"""How an ACP agent is started: its command line, and what to do where its program is missing."""

from __future__ import annotations

from mcp_orchestrator.backends.acp_profiles import Profile, profile_names, unknown_profile
from mcp_orchestrator.model.agent import AgentOpening, AgentSpec
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import Secret


def command_of(spec: AgentSpec, profile: Profile, opening: AgentOpening | None) -> tuple[str | Secret, ...]:
    """The command line: the configured one, else that of the profile, with the model where it takes one.

    Raises:
        BackendError: neither is there.
    """
    unknown = unknown_profile(spec)
    where = f" ({spec.where})" if spec.where else ""
    if unknown is not None:
        known = ", ".join(profile_names())
        text = f"agent {spec.name}: there is no profile {unknown!r}; those that are: {known}{where}"
        raise BackendError(FailureKind.INVALID, text)
    command: tuple[str | Secret, ...] = spec.command or profile.command
    if not command:
        text = f"agent {spec.name}: nothing says how to start it; give `command` or `profile`{where}"
        raise BackendError(FailureKind.INVALID, text)
    model = (opening.model if opening is not None else None) or spec.model
    return (*command, *profile.model, model) if model and profile.model else command


def advised(spec: AgentSpec, profile: Profile, error: BackendError) -> BackendError:
    """The same, with how to install the program, where that is known."""
    if "is not on the PATH" in error.message and profile.install:
        return BackendError(error.kind, f"{error.message}; install it with `{profile.install}`")
    if error.message.startswith(("agent ", "backend ")):
        return error
    where = f" ({spec.where})" if spec.where else ""
    return BackendError(error.kind, f"agent {spec.name}: {error.message}{where}")
