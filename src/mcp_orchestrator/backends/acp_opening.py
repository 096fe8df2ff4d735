"""How a session with an ACP agent is made or taken up, and put into the mode and given the model that are wanted.

What an agent does not offer is no error: it is said in `notes`, which become warnings of the first turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.backends.acp_ends import said, trouble_of
from mcp_orchestrator.backends.acp_link import AcpError, AcpLink
from mcp_orchestrator.backends.acp_profiles import Profile
from mcp_orchestrator.backends.agent_link import Frame, listed, record, words_of
from mcp_orchestrator.model.agent import AgentMode, AgentOpening, AgentSpec, Attachment, TroubleKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

PROTOCOL: Final = 1
READING: Final = ("plan", "read-only", "read_only", "readonly")
"""Modes by these names are taken for such as only read, where no profile tells."""

_MINUTE: Final = 60.0


@dataclass(slots=True)
class Offered:
    """What an agent says it can (`initialize`), and how its session stands."""

    told: Frame
    session: Frame = field(default_factory=dict)
    mode: str | None = None
    model: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def capabilities(self) -> Frame:
        """Its abilities."""
        return record(self.told.get("agentCapabilities"))

    @property
    def version(self) -> str | None:
        """Its version, as it tells it."""
        return words_of(record(self.told.get("agentInfo")).get("version")) or None

    def session_can(self, name: str) -> bool:
        """Whether sessions can be resumed, forked, listed, closed."""
        return record(self.capabilities.get("sessionCapabilities")).get(name) not in (None, False)

    def modes(self) -> tuple[str, ...]:
        """The modes of its session, by either way of telling them."""
        told = listed(record(self.session.get("modes")).get("availableModes"))
        return tuple(words_of(one.get("id")) for one in told) or _values(self.option("mode"))

    def models(self) -> tuple[str, ...]:
        """The models of its session, likewise."""
        told = listed(record(self.session.get("models")).get("availableModels"))
        return _values(self.option("model")) or tuple(words_of(one.get("modelId")) for one in told)

    def option(self, category: str) -> Frame:
        """The option of its session that is of this category, or has this id; an empty one if there is none."""
        options = listed(self.session.get("configOptions"))
        by_id = (one for one in options if one.get("id") == category)
        return next((one for one in options if one.get("category") == category), None) or next(by_id, {})


async def initialize(link: AcpLink, version: str) -> Offered:
    """Shake hands. Raises AcpError, ConnectionError."""
    told = await link.request(
        "initialize",
        {
            "protocolVersion": PROTOCOL,
            "clientCapabilities": {
                "fs": {"readTextFile": False, "writeTextFile": False},
                "terminal": False,
                "elicitation": {"form": {}, "url": {}},
            },
            "clientInfo": {"name": "mcp-orchestrator", "title": "mcp-orchestrator", "version": version},
        },
    )
    return Offered(told)


def transport_of(spec: AgentSpec, profile: Profile, offered: Offered) -> str:
    """How the agent is given an MCP server: `http`, `stdio` or `none`."""
    told = spec.settings.get("mcp") or profile.mcp
    if isinstance(told, str):
        return told
    return "http" if record(offered.capabilities.get("mcpCapabilities")).get("http") is True else "stdio"


def servers(attachment: Attachment | None, transport: str) -> list[Frame]:
    """The MCP servers of a session: this gateway, or none."""
    if attachment is None or transport == "none":
        return []
    if transport == "http":
        headers = [{"name": name, "value": secret.reveal()} for name, secret in attachment.headers]
        return [{"type": "http", "name": attachment.name, "url": attachment.url, "headers": headers}]
    command, *args = attachment.command
    env = [{"name": name, "value": secret.reveal()} for name, secret in attachment.env]
    return [{"name": attachment.name, "command": command, "args": args, "env": env}]


async def open_session(
    link: AcpLink, offered: Offered, opening: AgentOpening, profile: Profile, mcp: list[Frame]
) -> str:
    """Make a session, or take one up, or branch off one; returns its id.

    Raises:
        BackendError: the agent cannot take sessions up.
        AcpError: the agent refuses.
        ConnectionError: the agent ended.
    """
    where: dict[str, Any] = {"cwd": str(opening.cwd), "mcpServers": mcp}
    if opening.resume is None:
        offered.session = await link.request("session/new", where)
        native = words_of(offered.session.get("sessionId"))
        if not native:
            raise BackendError(FailureKind.BAD_ANSWER, "the agent made a session without an id")
        return native
    method = _method(offered, profile, fork=opening.fork)
    offered.session = await link.request(method, {"sessionId": opening.resume, **where})
    return words_of(offered.session.get("sessionId")) if opening.fork else opening.resume


def _method(offered: Offered, profile: Profile, *, fork: bool) -> str:
    if fork:
        if offered.session_can("fork"):
            return "session/fork"
        raise BackendError(FailureKind.INVALID, "the agent cannot branch off a session")
    if "no-load" not in profile.quirks:
        if offered.session_can("resume"):
            return "session/resume"
        if offered.capabilities.get("loadSession") is True:
            return "session/load"
    raise BackendError(FailureKind.INVALID, "the agent cannot take an earlier session up again")


def until_next_minute(made: float, now: float) -> float:
    """Seconds until the minute is over in which a session was made; `made` may be later than it was, never earlier."""
    if math.floor(made / _MINUTE) != math.floor(now / _MINUTE):
        return 0.0
    return _MINUTE - now % _MINUTE + 0.5


async def settle_mode(link: AcpLink, native: str, offered: Offered, wanted: str | None, mode: AgentMode) -> None:
    """Put the session into a mode: the one that is wanted, else, to read only, one whose name says so.

    Raises ConnectionError.
    """
    current = words_of(record(offered.session.get("modes")).get("currentModeId"))
    offered.mode = current or words_of(offered.option("mode").get("currentValue")) or None
    names = offered.modes()
    found = _match(wanted, names) if wanted else None
    if wanted and found is None:
        offered.notes.append(f"it does not offer the mode {wanted!r} (it has: {', '.join(names) or 'none'})")
    if found is None and mode is AgentMode.READ:
        found = next((one for name in READING if (one := _match(name, names)) is not None), None)
    if found is None and mode is AgentMode.READ:
        offered.notes.append("it has no mode that only reads: what it changes in its workspace is thrown away instead")
    if found is None or found == offered.mode:
        return
    if listed(record(offered.session.get("modes")).get("availableModes")):
        call = ("session/set_mode", {"sessionId": native, "modeId": found})
    else:
        option = words_of(offered.option("mode").get("id"))
        call = ("session/set_config_option", {"sessionId": native, "configId": option, "value": found})
    if await _asked_for(link, offered, f"the mode {found!r}", *call):
        offered.mode = found


async def settle_model(link: AcpLink, native: str, offered: Offered, wanted: str | None, *, given: bool) -> None:
    """Have the session use a model; `given`: its command line says so already. Raises ConnectionError."""
    current = words_of(offered.option("model").get("currentValue"))
    offered.model = current or words_of(record(offered.session.get("models")).get("currentModelId")) or None
    if wanted is None or wanted == offered.model:
        return
    option = words_of(offered.option("model").get("id"))
    what = f"the model {wanted!r}"
    if option:
        parameters = {"sessionId": native, "configId": option, "value": wanted}
        done = await _asked_for(link, offered, what, "session/set_config_option", parameters)
    elif record(offered.session.get("models")):
        parameters = {"sessionId": native, "modelId": wanted}
        done = await _asked_for(link, offered, what, "session/set_model", parameters)
    elif given:
        done = True
    else:
        done = False
        offered.notes.append(f"it does not let its model be chosen, so it does not use {wanted!r}")
    offered.model = wanted if done else offered.model


async def settle_options(link: AcpLink, native: str, offered: Offered, options: Mapping[str, Any]) -> None:
    """Set the options that the configuration names (`acp.config`). Raises ConnectionError."""
    for name, value in options.items():
        parameters = {"sessionId": native, "configId": name, "value": value}
        if isinstance(value, bool):
            parameters["type"] = "boolean"
        await _asked_for(link, offered, f"the option {name!r}", "session/set_config_option", parameters)


async def _asked_for(link: AcpLink, offered: Offered, what: str, method: str, parameters: Frame) -> bool:
    try:
        told = await link.request(method, parameters)
    except AcpError as error:
        offered.notes.append(f"it refused {what}: {said(error)}")
        return False
    if listed(told.get("configOptions")):
        offered.session = {**offered.session, "configOptions": told["configOptions"]}
    return True


def not_opened(spec: AgentSpec, profile: Profile, error: AcpError, what: str) -> BackendError:
    """Why a session could not be had, and how to mend it."""
    trouble = trouble_of(error)
    auth = trouble is TroubleKind.AUTH
    advice = f"; {profile.sign_in or 'sign in with its own program first'}" if auth else ""
    where = f" ({spec.where})" if spec.where else ""
    kind = FailureKind.REFUSED if auth else FailureKind.UNAVAILABLE
    return BackendError(kind, f"agent {spec.name}: {what} failed: {said(error)}{advice}{where}")


def _values(option: Frame) -> tuple[str, ...]:
    """The values of a select option; they may stand in groups."""
    values: list[str] = []
    for one in listed(option.get("options")):
        inner = listed(one.get("options"))
        values += [words_of(each.get("value")) for each in inner] if inner else [words_of(one.get("value"))]
    return tuple(filter(None, values))


def _match(wanted: str, names: tuple[str, ...]) -> str | None:
    """The mode of this name, or the one whose id ends in it (`https://…/session-modes#plan`)."""
    if wanted in names:
        return wanted
    return next((name for name in names if name.rpartition("#")[2] == wanted and "#" in name), None)
