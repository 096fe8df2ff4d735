"""The part of the configuration format that is about agents: each agent, delegation, and the endpoint for A2A."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator.config.forms import ALLOWED_HOST, HOST, VARIABLE
from mcp_orchestrator.config.shape import (
    Choice,
    Duration,
    Field,
    Flag,
    Held,
    ListOf,
    Money,
    Record,
    Shape,
    Size,
    Text,
    Unread,
    Whole,
)
from mcp_orchestrator.model.agent import AgentKind, AgentMode, AgentSpec
from mcp_orchestrator.model.snapshot import A2aSpec, DelegationSpec

AGENT_NAME: Final = r"[A-Za-z0-9_-]{1,64}"
AGENT_NAME_FORM: Final = "an agent name: 1 to 64 of A-Z a-z 0-9 _ -"

_agent = AgentSpec("", AgentKind.ACP)
_delegation = DelegationSpec()
_a2a = A2aSpec()

_STARTED = (AgentKind.ACP, AgentKind.CLAUDE_CODE, AgentKind.CODEX, AgentKind.CLI)
_ACP = (AgentKind.ACP,)
_A2A = (AgentKind.A2A,)

KINDS_OF: Final[Mapping[str, tuple[AgentKind, ...]]] = {
    **dict.fromkeys(("command", "args", "env", "inheritEnv", "model"), _STARTED),
    **dict.fromkeys(("registry", "distribution", "acp"), _ACP),
    **dict.fromkeys(("url", "headers", "a2a"), _A2A),
    "profile": (AgentKind.ACP, AgentKind.CLI),
    "keep": (AgentKind.ACP,),
    "claude": (AgentKind.CLAUDE_CODE,),
    "codex": (AgentKind.CODEX,),
    "script": (AgentKind.SCRIPTED,),
}
"""The keys that not every kind of agent has, with the kinds that have them."""

ENTRY_KEYS: Final = (
    "id", "name", "version", "repository", "website", "authors", "license", "license_url", "icon", "preview", "$schema",
)  # fmt: skip
"""What an entry of the ACP registry holds besides `distribution` and `description`."""


def _of_kinds(name: str, shape: Shape, text: str, default: Any = None, example: Any = None) -> Field:
    kinds = ", ".join(f"`{kind}`" for kind in KINDS_OF[name])
    return Field(name, shape, f"{text} For {kinds}.", default, example)


_NATIVE = (
    Field(
        "extraArgs",
        ListOf(Text()),
        "Arguments of the program on top of those that the gateway gives it.",
        None,
        ["--verbose"],
    ),
    Field(
        "configDir",
        Text(),
        "The directory of its own configuration, sign-in and sessions, relative to this file.",
        None,
        "~/.agents/second-account",
    ),
)

_ACP_PART = Record(
    (
        Field("mode", Text(), "The mode that a session is put into. Default: the one of the profile.", None, "default"),
        Field(
            "mcp",
            Choice(("http", "stdio", "none")),
            "How the agent is given the gateway as its MCP server: by address, as a program, or not at all. Default: "
            "what the profile says, else what the agent says it can.",
            None,
            "http",
        ),
        Field(
            "approve",
            ListOf(Text()),
            "Ids of the options of a permission request that approve just once what is asked, the best one first.",
            None,
            ["proceed_once"],
        ),
        Field(
            "config", Held("options"), "Options of a session by id, set when it is made.", None, {"effort": "medium"}
        ),
    )
)

_A2A_PART = Record(
    (
        Field(
            "binding",
            Choice(("jsonrpc", "http+json")),
            "How to speak to it. Default: the first one of its card that we can.",
            None,
            "jsonrpc",
        ),
        Field(
            "version",
            Text(r"[0-9]+\.[0-9]+", 'a version of the protocol such as "1.0", in quotes'),
            "The version of A2A to speak. Default: the newest of its card that we know.",
            None,
            "1.0",
        ),
    )
)

_LIMITS = Record(
    (
        Field("turns", Whole(1), "Most rounds of its model in a delegation, where the agent can keep to it.", None, 50),
        Field("usd", Money(), "Most money that a delegation may cost, where the agent tells it.", None, 2.5),
    )
)

AGENT: Final = Record(
    (
        Field(
            "kind",
            Choice(tuple(AgentKind)),
            "What it is and how it is spoken to: `acp` any agent of the Agent Client Protocol, `claude-code` and "
            "`codex` the programs of these names, `a2a` a remote agent, `cli` a program that is started once for each "
            "task, `scripted` a file that is played (for trying things out). An entry of the ACP registry implies "
            "`acp`.",
            None,
            "claude-code",
        ),
        _of_kinds(
            "command",
            Held("command"),
            "The program to start, with its arguments. No shell is used. A path counts from this file. Beside a "
            "registry entry it stands for the program that the entry names; without it, the kind or the profile names "
            "the program.",
            None,
            "gemini --acp",
        ),
        _of_kinds("args", Held("words"), "More arguments, after those of `command` or `registry`.", None, ["--debug"]),
        _of_kinds(
            "registry",
            Held("entry"),
            "An entry of the public ACP registry, or where it is: `FILE#ID` with a local copy of the registry and the "
            "id of an entry. `npx` becomes `npx -y PACKAGE`, `uvx` becomes `uvx PACKAGE`; of `binary` the `cmd` of this "
            "platform must be there already, beside the file or on the `PATH`: nothing is fetched.",
            None,
            "registry.json#qwen-code",
        ),
        _of_kinds(
            "distribution",
            Held("distribution"),
            "With this key, the agent is itself an entry of the ACP registry.",
            None,
            {"npx": {"package": "@qwen-code/qwen-code@0.24.4", "args": ["--acp"]}},
        ),
        _of_kinds("url", Held("address"), "The address of the agent or of its card.", None, "https://planner.example"),
        _of_kinds(
            "headers",
            Held("pairs"),
            "HTTP headers sent with every request.",
            None,
            {"Authorization": "Bearer ${secret:env/PLANNER_TOKEN}"},
        ),
        _of_kinds("model", Text(), "The model that it is to use, in its own words.", None, "sonnet"),
        Field(
            "description",
            Text(),
            "What it is good at, for the model that chooses whom to delegate to.",
            None,
            "Thorough with large refactorings.",
        ),
        Field(
            "labels",
            ListOf(Text(r"\S(.*\S)?", "a word")),
            "Words by which a delegation may ask for it.",
            None,
            ["review", "fast"],
        ),
        _of_kinds(
            "env",
            Held("pairs"),
            "Environment variables it gets, besides the basic ones (see `mcpServers`), those of the profile and "
            "`inheritEnv`.",
            None,
            {"ANTHROPIC_API_KEY": "${secret:env/ANTHROPIC_API_KEY}"},
        ),
        _of_kinds(
            "inheritEnv",
            ListOf(VARIABLE),
            "Environment variables of the gateway that it gets. Names only.",
            None,
            ["SSH_AUTH_SOCK"],
        ),
        Field(
            "mode",
            Choice(tuple(AgentMode)),
            "The most that a delegation to it may ask for: to `read` only, or to `write` as well.",
            str(_agent.most_mode),
        ),
        Field("timeout", Duration(1), "How long one delegation may take.", _agent.timeout),
        Field("startTimeout", Duration(0.05), "How long starting it may take.", _agent.start_timeout),
        Field("limits", _LIMITS, "What one delegation may use."),
        Field("maxRuns", Whole(1, 1000), "How many delegations to it run at once; more wait.", _agent.max_runs),
        _of_kinds(
            "keep",
            Whole(0, 16),
            "How many sessions are kept started and ready, for agents that start slowly.",
            _agent.keep,
        ),
        Field("disabled", Flag(), "Leave the agent out.", _agent.disabled),
        _of_kinds(
            "profile",
            Text(),
            "What is known of this agent: the name of a profile that comes with the gateway, or (`cli` only) a YAML file "
            "of your own, relative to this file.",
            None,
            "gemini-cli",
        ),
        _of_kinds("acp", _ACP_PART, "Settings that go before those of the profile."),
        _of_kinds("claude", Record(_NATIVE), "Settings of Claude Code."),
        _of_kinds("codex", Record(_NATIVE), "Settings of Codex."),
        _of_kinds("a2a", _A2A_PART, "Settings that go before what the agent's card says."),
        _of_kinds("script", Text(), "The file that is played, relative to this file.", None, "agent-script.yaml"),
        *(
            Field(name, Unread(), "Accepted beside `distribution` because registry entries have it; not used.")
            for name in ENTRY_KEYS
        ),
    ),
    needs=("kind", "registry", "distribution"),
)
"""One agent."""

DELEGATION: Final = Record(
    (
        Field(
            "depth",
            Whole(1, 16),
            "How deep delegations may nest: 1 means that an agent cannot delegate further.",
            _delegation.depth,
        ),
        Field(
            "maxRuns", Whole(1, 1000), "How many delegations run at once on all agents together.", _delegation.max_runs
        ),
        Field(
            "wait",
            Duration(0, 3600),
            "How long `delegate` waits for the end before it returns the run to ask about later. Many clients give up "
            "on a call after 60 seconds.",
            _delegation.wait,
        ),
        Field(
            "workspaces",
            Text(),
            "The directory in which agents get places to work, relative to this file. Default: "
            "`mcp-orchestrator/workspaces` in `$XDG_DATA_HOME` (`~/.local/share`).",
            None,
            "~/agents",
        ),
        Field(
            "retain",
            Duration(0, 366 * 86400.0, "forever"),
            "How long the place of a run is kept after its end, with the changes that were not applied.",
            _delegation.retain,
        ),
        Field(
            "roots",
            ListOf(Text()),
            "Directories that a caller may name as workspace, with everything below them; relative to this file. An "
            "empty list allows none. Default: the directory of this file, and the one that the gateway was started in "
            "unless that is the root of the file system.",
            None,
            ["~/src"],
        ),
    )
)
"""Delegation as a whole."""

A2A: Final = Record(
    (
        Field("host", HOST, "The address to listen on.", _a2a.host),
        Field("port", Whole(0, 65535), "The port to listen on; 0 takes any free one.", _a2a.port),
        Field(
            "publicUrl",
            Text(r"https?://[^\s/?#@]+(/[^\s?#]*)?", "an address that starts with http:// or https://"),
            "The address under which clients reach this endpoint, as it stands on agent cards. Default: the address "
            "that is listened on.",
            None,
            "https://agents.example.com",
        ),
        Field(
            "allowedHosts",
            ListOf(ALLOWED_HOST),
            "Host names under which clients reach the endpoint, besides loopback ones and that of `publicUrl`. One of "
            "the two is required when `host` is not loopback.",
            None,
            ["agents.example.com"],
        ),
        Field("maxBodyBytes", Size(1024), "Largest request that is taken.", _a2a.max_body_bytes, "4MiB"),
    )
)
"""The endpoint for A2A clients."""
