"""The parts of a server or an agent that may hold secrets: arguments, environment, headers, address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.document import Entry, Node, Scalar, Table, is_empty
from mcp_orchestrator.config.masking import inline_value, is_secret_name, looks_secret, secret_argument, shown
from mcp_orchestrator.config.references import Filled, References
from mcp_orchestrator.model.snapshot import Secret

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_BARE_NAME: Final = re.compile(r"(?:^|\s)\$[A-Z][A-Z0-9_]+(?:\s|$)")  # a reference to Gemini CLI alone
_LEAST_CONFIDENTIAL: Final = 6  # shorter words are no secrets and occur everywhere
_ADVICE: Final = "refer to it: ${secret:env/NAME}"


class Parts:
    """Reads the values of one server or agent.

    Without `resolve` (it is disabled) references stay as they are written. A `verbatim` block is one of other
    programs: their spellings of references are understood, and a secret in clear text is warned of (in our own
    sections it was refused before).
    """

    def __init__(
        self, name: str, references: References, *, resolve: bool, noun: str = "server", verbatim: bool = True
    ) -> None:
        self._owner = f"{noun} {shown(name)}"
        self._notes = references.notes
        self._shown = references.within(foreign=verbatim, secrets_fit=False)
        self._secret = references.within(foreign=verbatim, secrets_fit=True)
        self._resolve = resolve
        self._verbatim = verbatim
        self._confidential: dict[str, None] = {}

    @property
    def confidential(self) -> tuple[Secret, ...]:
        """The words among the values read so far that are secret."""
        return tuple(map(Secret, self._confidential))

    def text(self, node: Scalar, key: str) -> str | None:
        """A value that is shown in listings, and so may not hold secrets. None after noting why."""
        filled = self._shown.fill(node) if self._resolve else Filled(node.text, referred=False)
        if filled is None:
            return None
        if not filled.text.strip() or "\x00" in filled.text:
            self._notes.error(Code.WRONG_TYPE, f"{key} of {self._owner} has no usable value", node.start, "give a text")
            return None
        return filled.text

    def arguments(self, nodes: Sequence[Node]) -> tuple[str | Secret, ...]:
        """The arguments; `Secret` where a reference was filled in or the text looks like a secret."""
        found: list[str | Secret] = []
        previous: str | None = None
        for node in nodes:
            if not isinstance(node, Scalar) or node.value is None:
                message = f"an argument of {self._owner} must be text"
                self._notes.error(Code.WRONG_TYPE, message, node.start, 'write it as one text, "" for an empty one')
                continue
            flag = previous.lstrip("-") if previous is not None and previous.startswith("-") else ""
            filled = self._fill(node, flag, "an argument")
            if filled is not None:
                secret = secret_argument(previous, filled.text)
                if secret:
                    self._keep_confidential(filled.text)
                hide = filled.referred or secret
                found.append(Secret(filled.text) if hide else filled.text)
            previous = node.text
        return tuple(found)

    def environment(self, node: Node | None) -> tuple[tuple[str, Secret], ...]:
        """The variables, in order."""
        found: list[tuple[str, Secret]] = []
        for entry in self._entries(node, "env"):
            if not entry.key or "=" in entry.key or "\x00" in entry.key:
                message = f"unusable name of an environment variable of {self._owner}"
                self._notes.error(Code.BAD_HEADER_OR_VARIABLE, message, entry.start, "write NAME: value")
                continue
            filled = self._value(entry, f"variable {shown(entry.key)}")
            if filled is not None:
                found.append((entry.key, Secret(filled.text)))
        return tuple(found)

    def headers(self, node: Node | None) -> tuple[tuple[str, Secret], ...]:
        """The headers, in order, values without surrounding blanks."""
        found: dict[str, tuple[str, Secret]] = {}
        for entry in self._entries(node, "headers"):
            problem = _header_name_problem(entry.key, found)
            if problem:
                message = f"{problem} of {self._owner}"
                self._notes.error(Code.BAD_HEADER_OR_VARIABLE, message, entry.start, "rename or remove it")
                continue
            filled = self._value(entry, f"header {shown(entry.key)}")
            if filled is None:
                continue
            text = filled.text.strip()
            if not _HEADER_VALUE.fullmatch(text):
                message = f"value of header {shown(entry.key)} of {self._owner} is more than one plain line"
                fix = "write one line of ASCII or Latin-1 characters"
                self._notes.error(Code.BAD_HEADER_OR_VARIABLE, message, entry.value.start, fix)
            found[entry.key.lower()] = (entry.key, Secret(text))
        return tuple(found.values())

    def address(self, node: Scalar) -> Secret | None:
        """The URL; None after noting why it is unusable. It is never quoted: it may hold a key."""
        filled = self._fill(node, "", "the URL")
        if filled is None:
            return None
        problem = _url_problem(filled.text) if self._resolve else ""
        if problem:
            message, _, fix = problem.partition(": ")
            about = f"the URL of {self._owner} {message}"
            self._notes.error(
                Code.BAD_URL, about, node.start, fix or "write it as http://HOST:PORT/PATH or https://HOST/PATH"
            )
            return None
        for key, value in parse_qsl(urlsplit(filled.text).query) if self._resolve else ():
            if "${" in node.text or is_secret_name(key) or looks_secret(value, key):
                self._keep_confidential(value)
        return Secret(filled.text)

    def _entries(self, node: Node | None, key: str) -> list[Entry]:
        if node is None or is_empty(node):
            return []
        if isinstance(node, Table):
            return list(node.entries.values())
        message = f"{key} of {self._owner} must be names with values"
        self._notes.error(Code.WRONG_TYPE, message, node.start, "write NAME: value")
        return []

    def _value(self, entry: Entry, what: str) -> Filled | None:
        if isinstance(entry.value, Scalar) and entry.value.value is not None:
            filled = self._fill(entry.value, entry.key, what)
            if filled is not None and "\x00" in filled.text:
                message = f"{what} of {self._owner} holds a NUL character"
                self._notes.error(Code.BAD_HEADER_OR_VARIABLE, message, entry.value.start, "remove it")
            return filled
        message = f"{what} of {self._owner} must be text"
        fix = 'give a value; an empty one is ""'
        self._notes.error(Code.WRONG_TYPE, message, entry.value.start, fix)
        return None

    def _fill(self, node: Scalar, name: str, what: str) -> Filled | None:
        """Fill a value that may hold secrets, and warn of one that is written out."""
        if what != "an argument" and _BARE_NAME.search(node.text):  # as an argument, it may be for a shell
            message = f"a dollar sign and a name in {what} of {self._owner} are passed on as they are"
            fix = f"write {'${NAME}' if self._verbatim else '${env:NAME}'} if the variable is meant"
            self._notes.warn(Code.BAD_REFERENCE, message, node.start, fix)
            return self._secret.fill(node) if self._resolve else Filled(node.text, referred=False)
        inline = inline_value(node.text)
        literal = looks_secret(node.text, name) or (inline is not None and looks_secret(inline[1], inline[0]))
        if literal and self._verbatim:
            message = f"{what} of {self._owner} looks like a secret in clear text"
            self._notes.warn(Code.LITERAL_SECRET, message, node.start, _ADVICE)
        if not self._resolve:
            return Filled(node.text, referred="${" in node.text)
        filled = self._secret.fill(node)
        if filled is not None and ("${secret:" in node.text or looks_secret(filled.text, name) or is_secret_name(name)):
            self._keep_confidential(filled.text)
        return filled

    def _keep_confidential(self, text: str) -> None:
        """Note a value, and its words: what echoes `Bearer T` may echo T alone."""
        inline = inline_value(text)
        for word in (text, *text.split(), *(inline[1:] if inline else ())):
            if len(word) >= _LEAST_CONFIDENTIAL and word.lower() != "bearer":
                self._confidential[word] = None


def _header_name_problem(name: str, found: dict[str, tuple[str, Secret]]) -> str:
    if not _HEADER_NAME.fullmatch(name):
        return "unusable name of a header"
    if name.lower() in _FRAMING:
        return f"header {shown(name)} belongs to the connection and cannot be set: a header"
    if name.lower() in found:
        return f"header {shown(name)} is given twice in different letter case: a header"
    return ""


def _url_problem(url: str) -> str:
    """What is wrong with an address, or nothing; the words never hold a part of it."""
    if re.search(r"[\x00-\x20\x7f]", url):
        return "holds blanks or control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has an unusable host or port"
    if parts.scheme not in {"http", "https"}:
        return "must start with http:// or https://"
    if not parts.hostname or port == 0:
        return "has no usable host or port"
    if parts.username is not None or parts.password is not None:
        return "carries a user or password: use headers: {Authorization: …} instead"
    return ""
