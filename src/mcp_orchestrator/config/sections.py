"""The configuration format: every section and key with its shape, default and description. The one source of truth."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from mcp_orchestrator.config.agent_route_sections import ROUTES
from mcp_orchestrator.config.agent_sections import A2A, AGENT, AGENT_NAME, AGENT_NAME_FORM, DELEGATION
from mcp_orchestrator.config.budget_sections import BUDGET, PRICES
from mcp_orchestrator.config.forms import ALLOWED_HOST, HOST, VARIABLE
from mcp_orchestrator.config.identity_sections import IDENTITY
from mcp_orchestrator.config.override_sections import OVERRIDES
from mcp_orchestrator.config.policy_sections import POLICIES
from mcp_orchestrator.config.result_sections import BOUND, RESULTS
from mcp_orchestrator.config.shape import (
    Choice,
    Duration,
    Field,
    Flag,
    Later,
    ListOf,
    Record,
    Servers,
    Size,
    TableOf,
    Text,
    Unread,
    Whole,
)
from mcp_orchestrator.config.state_sections import OBSERVE, STORAGE
from mcp_orchestrator.config.tool_sections import LOGICAL_TOOLS
from mcp_orchestrator.model.snapshot import (
    BackendSpec,
    EraPolicy,
    HttpSpec,
    NameStyle,
    StartPolicy,
    TransportKind,
)

SERVER_NAME: Final = r"[^/.]{1,64}"
SERVER_NAME_FORM: Final = 'a server name: 1 to 64 characters without "/" and "."'
DEFAULT_PAGE_SIZE: Final = 1000
DEFAULT_LIST_WAIT: Final = 3.0
DEFAULT_QUESTION_EXPIRY: Final = 600.0
DEFAULT_MOUTHS: Final = ("client",)

_ALLOWED_ORIGIN = Text(
    r"[a-z][a-z0-9+.-]*://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?",
    'an origin as browsers send it, "https://name" or "https://name:port", without a path',
)
_GLOB = Text(r"\S.*", "a pattern over SERVER.NAME, such as files.read_*")

_backend = BackendSpec("", TransportKind.STDIO)
_http = HttpSpec()

BACKEND = Record(
    (
        Field(
            "start",
            Choice(tuple(StartPolicy)),
            "`lazy` starts the server when it is first needed and stops it when idle; `eager` starts it with the "
            "gateway and keeps it.",
            str(_backend.start),
        ),
        Field(
            "era",
            Choice(tuple(EraPolicy)),
            "Which MCP revisions to speak: `auto` finds out, `modern` is 2026-07-28 and later, `legacy` 2025-11-25 "
            "and before. For a server that speaks both but asks its questions in one of them only, name that one.",
            str(_backend.era),
        ),
        Field("timeout", Duration(0.05), "How long one call may take.", _backend.timeout, "2m"),
        Field("startTimeout", Duration(0.05), "How long starting and connecting may take.", _backend.start_timeout),
        Field(
            "idleStop", Duration(0.05), "After how long without a call a lazy server is stopped.", _backend.idle_stop
        ),
        Field(
            "maxResultBytes",
            Size(1024),
            "Largest answer that is taken from the server; a larger one ends the call with an error.",
            _backend.max_result_bytes,
            "16MiB",
        ),
        Field("maxSessions", Whole(1, 1000), "How many sessions may be open at once.", _backend.max_sessions),
        Field(
            "inheritEnv",
            ListOf(VARIABLE),
            "Environment variables of the gateway that the server gets besides the basic ones "
            "(see `mcpServers`). Names only.",
            None,
            ["SSH_AUTH_SOCK"],
        ),
        Field("disabled", Flag(), "Leave the server out.", _backend.disabled),
    )
)

PROFILE = Record(
    (
        Field(
            "include",
            ListOf(_GLOB),
            "Patterns over `SERVER.NAME`; what fits one is shown. Absent or empty: everything.",
            None,
            ["files.read_*"],
        ),
        Field(
            "exclude",
            ListOf(_GLOB),
            "Patterns over `SERVER.NAME`; what fits one is not shown, whatever `include` says.",
            None,
            ["git.git_push*"],
        ),
        Field(
            "names",
            Choice(tuple(NameStyle)),
            "`prefixed` shows `SERVER__NAME` always, `original` the server's own name where only one server has it.",
            str(NameStyle.PREFIXED),
        ),
        Field("results", BOUND, "How much of a result is handed on at once here; see `results`."),
    )
)

HTTP = Record(
    (
        Field("host", HOST, "The address to listen on.", _http.host),
        Field("port", Whole(0, 65535), "The port to listen on; 0 takes any free one.", _http.port),
        Field(
            "path",
            Text(r"(/[A-Za-z0-9._~-]+)+", 'a path such as "/mcp", without a slash at the end'),
            "The path of the endpoint; profiles are at `PATH/PROFILE`.",
            _http.path,
        ),
        Field(
            "allowedHosts",
            ListOf(ALLOWED_HOST),
            "Host names under which clients reach the gateway, besides loopback ones. Requests for another `Host` are "
            "refused, which is what stops DNS rebinding. Required when `host` is not loopback.",
            None,
            ["mcp.example.com", "mcp.example.com:8808"],
        ),
        Field(
            "allowedOrigins",
            ListOf(_ALLOWED_ORIGIN),
            "Web pages (origins) that may call the gateway from a browser, besides loopback ones.",
            None,
            ["https://console.example.com"],
        ),
        Field("maxBodyBytes", Size(1024), "Largest request that is taken.", _http.max_body_bytes, "4MiB"),
        Field("drain", Duration(), "How long open requests may take to finish when the gateway stops.", _http.drain),
        Field("sessionIdle", Duration(1), "After how long an unused legacy session ends.", _http.session_idle, "30m"),
        Field("maxSessions", Whole(1), "How many legacy sessions may be open at once.", _http.max_sessions),
    )
)


def _later(name: str, kind: Literal["table", "list", "flag"], text: str, *, restricts: bool = False) -> Field:
    return Field(name, Later(kind, restricts), f"{text} Not carried out by this version yet: leave it out or empty.")


ROOT = Record(
    (
        Field(
            "mcpServers",
            Servers(),
            "The MCP servers behind the gateway, by name: the block that other programs use, taken verbatim.",
            None,
            {"time": {"command": "mcp-server-time", "args": ["--local-timezone", "UTC"]}},
        ),
        Field("servers", Servers(), "The same under the name that VS Code uses for it."),
        Field(
            "backends",
            TableOf(BACKEND, SERVER_NAME, SERVER_NAME_FORM, "SERVER"),
            "Settings of the gateway for single servers, by server name.",
            None,
            {"time": {"start": "eager", "timeout": "30s"}},
        ),
        Field(
            "agents",
            TableOf(AGENT, AGENT_NAME, AGENT_NAME_FORM, "AGENT"),
            "Agents that take delegations, by name. The first one that fits takes what is delegated to none by name.",
            None,
            {
                "claude": {"kind": "claude-code", "model": "sonnet"},
                "gemini": {"kind": "acp", "command": "gemini --acp"},
            },
        ),
        Field("delegation", DELEGATION, "How work is delegated to agents."),
        _later("apis", "table", "HTTP APIs offered as tools."),
        Field(
            "tools",
            LOGICAL_TOOLS,
            "Logical tools: tools of ours, each with several tools of servers that can do its work.",
            None,
            {
                "web_search": {
                    "description": "Search the web.",
                    "inputSchema": {
                        "type": "object",
                        "properties": {"query": {"type": "string"}},
                        "required": ["query"],
                    },
                    "providers": [
                        {"tool": "tavily.search", "arguments": {"q": "args.query"}},
                        {"tool": "brave.web_search", "when": "size(args.query) < 400"},
                    ],
                }
            },
        ),
        Field(
            "overrides",
            OVERRIDES,
            "What becomes of single tools of servers, by `SERVER.TOOL`: names, descriptions, arguments, labels, limits.",
            None,
            {"files.write_file": {"name": "save_file", "arguments": {"encoding": {"const": "utf-8"}}}},
        ),
        Field(
            "routes",
            ROUTES,
            "Which agent takes a delegation that names none: the first route that fits decides, in the order of the file. "
            "Where none fits, the first agent with the labels that are asked for.",
            None,
            [{"id": "reviews", "match": {"labels": ["review"]}, "to": ["claude", "codex"]}],
        ),
        Field(
            "policies",
            POLICIES,
            "Who may call what, with which arguments, after whose word. Nothing is forbidden that no rule forbids.",
            None,
            [
                {
                    "id": "no-main",
                    "match": {"tool": ["github.push*"]},
                    "when": 'args.branch in ["main"]',
                    "effect": "deny",
                }
            ],
        ),
        Field(
            "budgets",
            ListOf(BUDGET),
            "What calls and delegations may cost, for whom and in which time. All that concern a call count: what it may "
            "cost is held before it is made, what it did cost is charged afterwards.",
            None,
            [{"id": "team-month", "per": ["team"], "limit": {"usd": 200}, "window": "month"}],
        ),
        Field("prices", PRICES, "What calls and models cost."),
        Field("results", RESULTS, "How much of a result a client gets at once. The whole of one that is cut is kept."),
        Field(
            "profiles",
            TableOf(PROFILE, r"[A-Za-z0-9_-]{1,64}", "a profile name: 1 to 64 of A-Z a-z 0-9 _ -", "PROFILE"),
            "What a kind of caller sees, at `/mcp/PROFILE` and with `serve --profile`.",
            None,
            {"reader": {"include": ["files.read_*"]}},
        ),
        Field("identity", IDENTITY, "Who callers are."),
        Field(
            "questions",
            Record(
                (
                    Field(
                        "expire",
                        Duration(1),
                        "How long a question waits for an answer before it counts as declined.",
                        DEFAULT_QUESTION_EXPIRY,
                    ),
                    Field(
                        "mouths",
                        ListOf(Text("client|cli", "client or cli")),
                        "Who is asked, in this order: the first that can be. `client` is the client whose call asks, "
                        "if it declared that it can be asked this; with `cli` what it cannot be asked waits for "
                        "`mcp-orchestrator runs answer`. What nobody can be asked is declined at once.",
                        list(DEFAULT_MOUTHS),
                        ["client", "cli"],
                    ),
                )
            ),
            "Questions that servers ask.",
        ),
        Field(
            "listeners",
            Record(
                (
                    Field("http", HTTP, "The HTTP endpoint."),
                    Field(
                        "a2a",
                        A2A,
                        "An endpoint for A2A clients, to whom every agent is an A2A agent. Without this key there is none.",
                    ),
                )
            ),
            "Where clients connect. Standard input and output are served with `serve --stdio`.",
        ),
        Field("storage", STORAGE, "Where state is kept."),
        Field("observe", OBSERVE, "Logs, journal and traces."),
        Field(
            "limits",
            Record(
                (
                    Field("pageSize", Whole(1, 100_000), "How many items a page of a list holds.", DEFAULT_PAGE_SIZE),
                    Field(
                        "listWait",
                        Duration(0, 300),
                        "How long a list waits for servers that have never been seen before.",
                        DEFAULT_LIST_WAIT,
                    ),
                )
            ),
            "Limits of the gateway as a whole.",
        ),
        Field("inputs", Unread(), "Accepted because VS Code writes it; not used."),
        Field("$schema", Text(), "The JSON Schema for editors."),
    )
)
"""The whole file."""

ROOT_HINTS: Final = {
    "context_servers": "mcpServers", "mcp_servers": "mcpServers", "mcp": "mcpServers", "mcpservers": "mcpServers",
    "listener": "listeners", "logging": "observe", "timeouts": "backends", "server": "listeners",
}  # fmt: skip
"""Top-level keys that people bring from elsewhere, with ours."""


class ServerKey(NamedTuple):
    """One key of a verbatim server block. `use` tells whether we carry it out, leave it to the client, or cannot."""

    name: str
    use: Literal["read", "client", "dropped"]
    text: str


SERVER_KEYS: Final = (
    ServerKey("type", "read", "`stdio`, `http` (also `streamable-http`, `streamableHttp`) or `sse`. Without it a block "
              "with `command` is stdio and one with `url` is HTTP, or SSE when the URL ends in `/sse`."),
    ServerKey("transport", "read", "Another spelling of `type`."),
    ServerKey("command", "read", "The program to start. No shell is used."),
    ServerKey("args", "read", "Its arguments."),
    ServerKey("env", "read", "Environment variables it gets, besides the basic ones and `backends.NAME.inheritEnv`."),
    ServerKey("environment", "read", "Another spelling of `env`."),
    ServerKey("cwd", "read", "The directory it is started in; relative to this file. Default: the gateway's own."),
    ServerKey("url", "read", "The address of a remote server."),
    ServerKey("httpUrl", "read", "The address of a streamable HTTP server (Gemini CLI's spelling)."),
    ServerKey("serverUrl", "read", "The address of a remote server (Windsurf's spelling)."),
    ServerKey("headers", "read", "HTTP headers sent with every request."),
    ServerKey("timeout", "read", "How long a call may take: text such as `30s`, or a number in the unit of the program "
              "that the block comes from (seconds for Cline and Roo Code, milliseconds for Claude Code and Gemini CLI)."),
    ServerKey("disabled", "read", "Leave the server out."),
    ServerKey("enabled", "read", "`false` leaves the server out."),
    ServerKey("autoApprove", "client", "Concerns what a client asks its user; not used."),
    ServerKey("alwaysAllow", "client", "Concerns what a client asks its user; not used."),
    ServerKey("trust", "client", "Concerns what a client asks its user; not used."),
    ServerKey("alwaysLoad", "client", "Concerns how a client loads tools; not used."),
    ServerKey("description", "client", "For people; not used."),
    ServerKey("name", "client", "For people; not used."),
    ServerKey("source", "client", "Zed's note of where the block comes from; not used."),
    ServerKey("gallery", "client", "VS Code's note of where the block comes from; not used."),
    ServerKey("version", "client", "A note of where the block comes from; not used."),
    ServerKey("includeTools", "read", "The only tools of this server that can be seen and called: a list of its own names, "
              "or patterns such as `read_*`. An empty list leaves none (Gemini CLI's spelling)."),
    ServerKey("enabledTools", "read", "Another spelling of `includeTools`."),
    ServerKey("enabled_tools", "read", "Another spelling of `includeTools` (Codex)."),
    ServerKey("allowedTools", "read", "Another spelling of `includeTools`."),
    ServerKey("tools", "read", 'Another spelling of `includeTools` (GitHub Copilot); `["*"]` is all.'),
    ServerKey("excludeTools", "read", "Tools of this server that can be neither seen nor called, whatever `includeTools` "
              "says: a list of its own names, or patterns."),
    ServerKey("disabledTools", "read", "Another spelling of `excludeTools` (Roo Code)."),
    ServerKey("disabled_tools", "read", "Another spelling of `excludeTools` (Codex)."),
    ServerKey("envFile", "dropped", "Set the variables for the gateway and name them under `env` as `${env:NAME}`."),
    ServerKey("headersHelper", "dropped", "Put the headers under `headers` with `${secret:...}`."),
    ServerKey("oauth", "dropped", "Signing in to servers is not carried out by this version yet."),
    ServerKey("auth", "dropped", "Signing in to servers is not carried out by this version yet."),
    ServerKey("authProviderType", "dropped", "Signing in to servers is not carried out by this version yet."),
    ServerKey("sandboxEnabled", "dropped", "Put the sandbox into `command` and `args`."),
    ServerKey("sandbox", "dropped", "Put the sandbox into `command` and `args`."),
    ServerKey("watchPaths", "dropped", "Use `backends restart NAME`."),
    ServerKey("dev", "dropped", "Use `backends restart NAME`."),
)  # fmt: skip
"""Keys of server blocks: Claude Desktop and Claude Code 2.1, Cursor 3, VS Code 1.120, Gemini CLI 0.5 and later, Cline
3, Roo Code 3, Windsurf and Zed, as documented by them in the autumn of 2026."""

INCLUDE_KEYS: Final = ("includeTools", "enabledTools", "enabled_tools", "allowedTools", "tools")
EXCLUDE_KEYS: Final = ("excludeTools", "disabledTools", "disabled_tools")
FILTER_KEYS: Final = (*INCLUDE_KEYS, *EXCLUDE_KEYS)
"""The keys of a server block that list its tools."""

BASIC_ENVIRONMENT: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a started server gets of the gateway's environment in any case: the list of the official SDKs, locale,
and how the network is reached; besides, everything that begins with `LC_` or `XDG_`."""

OWN_TOOLS: Final = frozenset({
    "delegate", "handoff", "result_read", "run_list", "run_status", "run_answer", "run_cancel", "run_changes", "run_apply",
    "context_read", "context_write", "find_tools", "call_tool",
})  # fmt: skip
"""Tools of the gateway itself, which patterns of profiles name without a server."""
