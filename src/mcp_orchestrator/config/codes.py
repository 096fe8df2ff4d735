"""The codes of configuration problems: stable for ever, each explained in the reference."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Explained(NamedTuple):
    """What a code means: a title, and a paragraph on why it is a problem and what to do."""

    title: str
    text: str


class Code(enum.StrEnum):
    """Every code. The number never changes its meaning; new ones are added at the end of their ten."""

    NOT_FOUND = "C001"
    UNREADABLE = "C002"
    SYNTAX = "C003"
    DUPLICATE_KEY = "C004"
    TOO_MUCH = "C005"
    NOT_A_MAPPING = "C006"
    UNKNOWN_KEY = "C010"
    WRONG_TYPE = "C011"
    NOT_A_CHOICE = "C012"
    OUT_OF_RANGE = "C013"
    NOT_A_QUANTITY = "C014"
    MALFORMED = "C015"
    NOT_CARRIED_OUT = "C020"
    STORAGE_LACKS_PACKAGE = "C021"
    LITERAL_SECRET = "C030"  # noqa: S105 - the code of a problem
    UNSET_VARIABLE = "C031"
    SECRET_UNRESOLVED = "C032"  # noqa: S105 - the code of a problem
    BAD_REFERENCE = "C033"
    MISPLACED_SECRET = "C034"  # noqa: S105 - the code of a problem
    SERVER_NAME = "C040"
    NAME_COLLISION = "C041"
    NO_TRANSPORT = "C042"
    TRANSPORT_CONFLICT = "C043"
    FOREIGN_SETTING = "C044"
    AMBIGUOUS_TIMEOUT = "C045"
    BAD_URL = "C046"
    BAD_HEADER_OR_VARIABLE = "C047"
    COMMAND_LINE = "C048"
    NO_SERVERS = "C050"
    UNKNOWN_SERVER = "C051"
    PATTERN_WITHOUT_MATCH = "C052"
    OPEN_TO_THE_NETWORK = "C053"
    BAD_STORAGE = "C054"
    OPEN_WITHOUT_SIGN_IN = "C055"
    UNKNOWN_GROUP = "C056"
    LACKING_KEY = "C060"
    KEY_OF_ANOTHER_KIND = "C061"
    AGENT_UNREACHABLE = "C062"
    BAD_REGISTRY_ENTRY = "C063"
    NO_SUCH_FILE = "C064"
    NAME_TAKEN = "C065"
    DUPLICATE_ID = "C066"

    BAD_CONDITION = "C070"
    UNKNOWN_PATTERN = "C071"
    BAD_EXPRESSION = "C072"
    USELESS_KEY = "C073"

    BAD_MAPPING = "C080"
    UNKNOWN_TOOL = "C081"
    UNKNOWN_ARGUMENT = "C082"
    ILL_TYPED = "C083"
    LACKING_ARGUMENT = "C084"
    BAD_SCHEMA = "C085"
    NOT_PROVED = "C086"
    TOOL_NAME_TAKEN = "C087"

    UNKNOWN_AGENT = "C090"
    UNREACHABLE_ROUTE = "C091"

    @property
    def explained(self) -> Explained:
        """Title and paragraph for the reference."""
        return _EXPLAINED[self]


_EXPLAINED = {
    Code.NOT_FOUND: Explained(
        "no configuration file", "Nothing was found at the places that were looked at; the message lists them in order."
    ),
    Code.UNREADABLE: Explained(
        "the file cannot be read",
        "It is a directory, may not be read, is larger than 1 MiB, or is not UTF-8 text.",
    ),
    Code.SYNTAX: Explained(
        "not valid YAML or JSON",
        "The position is where the parser gave up; the mistake is there or shortly before. Tabs may not indent YAML. "
        "Tags other than the standard ones are refused, and so is a second document in the same file.",
    ),
    Code.DUPLICATE_KEY: Explained(
        "a key is given twice",
        "Most programs silently take the last one, which hides mistakes. Remove one of the two.",
    ),
    Code.TOO_MUCH: Explained(
        "nested too deeply or too large",
        "A file may nest 40 levels and have 50,000 values after aliases are expanded; an alias may not contain itself.",
    ),
    Code.NOT_A_MAPPING: Explained(
        "the file is not a mapping", "The top level must be keys with values, and a key must be one word or text."
    ),
    Code.UNKNOWN_KEY: Explained(
        "unknown key",
        "An error in our own sections, because a misspelt rule does nothing. Inside a server block of `mcpServers` it "
        "is a warning: other programs may know the key.",
    ),
    Code.WRONG_TYPE: Explained("wrong type", "For instance a list where a text belongs, or a key without a value."),
    Code.NOT_A_CHOICE: Explained("not one of the possible words", "The message lists the words that are possible."),
    Code.OUT_OF_RANGE: Explained("number out of range", "The message says which range is possible."),
    Code.NOT_A_QUANTITY: Explained(
        "not a duration or size",
        "Durations are a number of seconds or like `500ms`, `30s`, `10m`, `1h`, `1d`; sizes are a number of bytes or "
        "like `64KiB`, `16MiB`, `1GiB`, `10MB`.",
    ),
    Code.MALFORMED: Explained("text of the wrong form", "The message says which form is expected."),
    Code.NOT_CARRIED_OUT: Explained(
        "not carried out by this version yet",
        "The section is part of the format, but this version would do nothing with it. A rule that silently does "
        "nothing is worse than none, so it is refused until it works. Remove it, or leave it empty.",
    ),
    Code.STORAGE_LACKS_PACKAGE: Explained(
        "PostgreSQL needs a package that is not installed",
        "Install the extra: `pip install 'mcp-orchestrator[postgres]'`. SQLite (`sqlite:///PATH`) needs nothing.",
    ),
    Code.LITERAL_SECRET: Explained(
        "a secret in clear text",
        "Files get committed and shared. Put the secret into an environment variable or a file of yours and refer to "
        "it. Inside a server block of `mcpServers` this is a warning, since other programs write them there; the "
        "value is masked everywhere all the same.",
    ),
    Code.UNSET_VARIABLE: Explained(
        "environment variable is not set",
        "Set it for the gateway's own process, or give a value to fall back to: `${env:NAME:-value}`.",
    ),
    Code.SECRET_UNRESOLVED: Explained(
        "secret could not be resolved",
        "The variable, file or keyring entry is missing, or the file may be read by others. The message says what to "
        "do; it never holds the value.",
    ),
    Code.BAD_REFERENCE: Explained(
        "reference not understood",
        "References are `${env:NAME}`, `${env:NAME:-value}` and `${secret:SCHEME/NAME}`; within server blocks also "
        "`${NAME}` and `${NAME:-value}`. They do not nest. Write `$${` for a literal `${`.",
    ),
    Code.MISPLACED_SECRET: Explained(
        "a secret may not stand here",
        "Only `env`, `headers`, `args` and `url` of a server or an agent, and `storage.url`, are kept secret all the way; "
        "elsewhere the value would be shown in logs and listings.",
    ),
    Code.SERVER_NAME: Explained(
        "unusable server name",
        "A name is 1 to 64 printable characters, without `/` and `.` (the dot separates server and tool in rules).",
    ),
    Code.NAME_COLLISION: Explained(
        "two server names become the same public name",
        "Clients see names of the characters `A-Z a-z 0-9 _ -`; every other character becomes `_`.",
    ),
    Code.NO_TRANSPORT: Explained(
        "a server that cannot be reached", "A server needs either `command` (a program) or `url` (an address)."
    ),
    Code.TRANSPORT_CONFLICT: Explained(
        "transport unknown or contradictory",
        "`type` is `stdio`, `http` (also written `streamable-http`) or `sse`, and must agree with `command` or `url`.",
    ),
    Code.FOREIGN_SETTING: Explained(
        "a setting of another program that is not carried out",
        "The key is known from another program's server block, but the gateway does not do what it says there.",
    ),
    Code.AMBIGUOUS_TIMEOUT: Explained(
        "unit of a timeout was guessed",
        "Some programs write `timeout` of a server in seconds, others in milliseconds. Say it in "
        "`backends.NAME.timeout`, which always has a unit.",
    ),
    Code.BAD_URL: Explained(
        "unusable address", "A URL starts with `http://` or `https://` and carries no user and password."
    ),
    Code.BAD_HEADER_OR_VARIABLE: Explained(
        "unusable header, variable or argument",
        "A header name is a token and its value one line; a variable name has no `=`; nothing may hold a NUL.",
    ),
    Code.COMMAND_LINE: Explained(
        "a whole command line under `command`",
        "No shell is used: `command` is one program, the other words belong under `args`.",
    ),
    Code.NO_SERVERS: Explained("no server", "The file is right, but the gateway would have nothing to offer."),
    Code.UNKNOWN_SERVER: Explained("settings for a server that is not there", "Under `backends`, keys are server names."),
    Code.PATTERN_WITHOUT_MATCH: Explained(
        "a pattern that can match nothing",
        "Patterns of profiles are matched against `SERVER.NAME`; no configured server fits this one.",
    ),
    Code.OPEN_TO_THE_NETWORK: Explained(
        "open to the network without allowed hosts",
        "An address other than loopback can be reached by other machines, and through DNS rebinding by web pages. "
        "List the host names that clients use under `listeners.http.allowedHosts`.",
    ),
    Code.BAD_STORAGE: Explained(
        "unusable storage address",
        "Write `sqlite:///PATH`; four slashes for an absolute path. Or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` "
        "with a reference for the password.",
    ),
    Code.OPEN_WITHOUT_SIGN_IN: Explained(
        "open to the network without sign-in",
        "Whoever reaches an address other than loopback could call every tool. Let callers sign in with "
        "`identity: {required: true}` and a token each (`mcp-orchestrator tokens create NAME`), or listen on 127.0.0.1.",
    ),
    Code.UNKNOWN_GROUP: Explained(
        "a group that the configuration does not have",
        "It can only be a group that tokens are made with (`tokens create NAME --group GROUP`). If that is meant, the "
        "warning can be left alone.",
    ),
    Code.LACKING_KEY: Explained(
        "a key is missing",
        "An agent says what it is: by `kind`, or by an entry of the ACP registry, which implies `acp`. A budget has an "
        "`id` and a `limit` in at least one unit; the price of a model has `input` and `output`.",
    ),
    Code.KEY_OF_ANOTHER_KIND: Explained(
        "a key that means nothing here",
        "Keys of an agent depend on its `kind`: a program has no `url`, an A2A agent no `command`. A key that does "
        "nothing hides mistakes, so it is refused. The reference of each key says for which kinds it is.",
    ),
    Code.AGENT_UNREACHABLE: Explained(
        "an agent without what reaches it",
        "An `acp` agent needs `command`, `registry` or `profile`; a `cli` agent `profile`; an `a2a` agent `url`; a "
        "`scripted` one `script`. `claude-code` and `codex` need nothing: the program of that name is started.",
    ),
    Code.BAD_REGISTRY_ENTRY: Explained(
        "unusable entry of the ACP registry",
        "An entry has an `id` and a `distribution` with `npx`, `uvx`, or `binary` for this platform. A binary is never "
        "fetched: unpack its archive beside the file that holds the entry, put its program on the `PATH`, or name the "
        "program with `command`.",
    ),
    Code.NO_SUCH_FILE: Explained(
        "a file or directory is not there", "The path counts from the configuration file; `~` is the home directory."
    ),
    Code.DUPLICATE_ID: Explained(
        "two of the same id", "Reasons, refusals and the journal name budgets by their ids; rename one of the two."
    ),
    Code.NAME_TAKEN: Explained(
        "an agent has the name of a server", "Both are backends, which rules and commands call by name. Rename one."
    ),
    Code.BAD_CONDITION: Explained(
        "a condition that cannot be decided",
        "Conditions are CEL. They are checked when the file is loaded: every name must be a variable of the phases that the "
        "rule is asked in, types must fit, and what comes out must be true or false. There are no arguments in the phase "
        "`list`, so that a rule that reads them cannot hide a tool without anybody noticing. Conditions that could take long "
        "(loops in loops in loops, searching the same text again and again) are refused.",
    ),
    Code.UNKNOWN_PATTERN: Explained("a pattern of this name does not exist", "The message says which one is close."),
    Code.BAD_EXPRESSION: Explained(
        "unusable regular expression",
        "Expressions are RE2: without look-around and back references, and they may not fit the empty text.",
    ),
    Code.USELESS_KEY: Explained(
        "a key that does nothing for this effect",
        "`approvers` belong to `ask`, `limit` to `limit`, `redact` to `redact`, `rewrite` to `rewrite`; only what denies or "
        "allows can be asked before something is listed. A key that does nothing hides mistakes, so it is refused.",
    ),
    Code.BAD_MAPPING: Explained(
        "an expression that cannot be used",
        "`when`, mapped arguments and mapped results of `tools` are CEL. They are compiled when the file is loaded: every "
        "name must be known, types must fit, and a condition must give true or false.",
    ),
    Code.UNKNOWN_TOOL: Explained(
        "a tool that its server does not offer",
        "The server is known, as it was when it was last seen, and has no tool of this name.",
    ),
    Code.UNKNOWN_ARGUMENT: Explained(
        "an argument or field that does not exist",
        "The schema of the tool, as its server last offered it, has no argument of this name; or the logical tool's own "
        "schema has none.",
    ),
    Code.ILL_TYPED: Explained(
        "a value of the wrong type",
        "What is mapped can never fit the schema of the argument or field that it is for.",
    ),
    Code.LACKING_ARGUMENT: Explained(
        "an argument that is needed and not given",
        "The tool requires an argument that nothing is mapped to (an error), or that comes from one which callers may leave "
        "out (a warning: such calls are not taken by this provider). Map it, or give it a `const` or `default`.",
    ),
    Code.BAD_SCHEMA: Explained(
        "unusable schema", "It must be a JSON Schema that is valid by itself; `inputSchema` must be of type `object`."
    ),
    Code.NOT_PROVED: Explained(
        "what a server offers is not known yet",
        "Arguments are proved against what servers offered when they were last seen. Nothing is remembered of this one, so "
        "that each call is checked when it is made. A gateway that serves remembers what servers offer. A note: it does not "
        "count as a warning.",
    ),
    Code.TOOL_NAME_TAKEN: Explained(
        "a name that something else has already",
        "Logical tools are tools of the gateway and may not be called like another one of its own. Arguments and tools that "
        "are renamed need names of their own as well.",
    ),
    Code.UNKNOWN_AGENT: Explained("there is no agent of this name", "Agents are named under `agents`."),
    Code.UNREACHABLE_ROUTE: Explained(
        "a route that is never reached",
        "The first route that fits is taken. One before this fits whatever this one fits, without a condition.",
    ),
}  # fmt: skip
