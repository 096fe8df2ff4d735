"""Reads who callers are, and refuses doors that anybody on the network could walk through."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, did_you_mean
from mcp_orchestrator.config.document import Listing, Scalar, Table, locate
from mcp_orchestrator.config.masking import shown
from mcp_orchestrator.core.identities import GROUP
from mcp_orchestrator.model.snapshot import IdentitySpec


def read_identity(root: Table, checked: Mapping[str, Any], notes: Notes) -> IdentitySpec:
    """The section as the engine reads it. A team may name groups of tokens that no configuration knows: a warning."""
    groups = {name: tuple(members) for name, members in checked.get("groups", {}).items()}
    teams = {name: tuple(members) for name, members in checked.get("teams", {}).items()}
    for team in teams:
        _report_unknown_groups(root, team, list(groups), notes)
    return IdentitySpec(bool(checked.get("required", False)), groups, teams)


def _report_unknown_groups(root: Table, team: str, groups: list[str], notes: Notes) -> None:
    identity = root.get("identity")
    teams = identity.get("teams") if isinstance(identity, Table) else None
    members = teams.get(team) if isinstance(teams, Table) else None
    for item in members.items if isinstance(members, Listing) else ():
        if not isinstance(item, Scalar) or not item.text.startswith(GROUP) or "${" in item.text:
            continue
        name = item.text.removeprefix(GROUP)
        if name not in groups:
            message = f"team {team} names the group {shown(name)}, which is not under identity.groups"
            near = did_you_mean(name, groups) if groups else ""
            fix = near or "add it under identity.groups; or leave it, if tokens are made with it (--group)"
            notes.warn(Code.UNKNOWN_GROUP, message, item.start, fix)


def check_open(root: Table, listener: str, host: str, required: bool, notes: Notes) -> None:
    """Refuse a listener that is open to the network while nobody has to say who they are."""
    if required or is_loopback(host):
        return
    message = f"listeners.{listener}.host {shown(host)} is open to the network, but nobody has to sign in"
    fix = "listen on 127.0.0.1, or add identity: {required: true} and make tokens with mcp-orchestrator tokens create"
    notes.error(Code.OPEN_WITHOUT_SIGN_IN, message, locate(root, "listeners", listener, "host"), fix)


def is_loopback(host: str) -> bool:
    """Whether a host, as it is written under `listeners`, can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
