"""What looks like a secret, and how it is kept out of everything that is shown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from mcp_orchestrator.config.document import Listing, Node, Place, Scalar, Table, every_entry

MASK: Final = "<secret>"

_TOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|rk|pk)[-_](?:live|test|ant|proj|or|lf)?[-_]?[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, Stripe
    r"|(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{8,}|(?<![A-Z0-9])A[KS]IA[A-Z0-9]{12,}|AIza[A-Za-z0-9_-]{30,}"
    r"|(?<![A-Za-z0-9])(?:npm|hf|ntn|tvly|figd|dop_v1|lin_api|shpat|SG|ATATT)[-_.]?[A-Za-z0-9_.=-]{24,}"
    r"|(?<![A-Za-z0-9])mco_[0-9A-Za-z]{24,}"  # our own
    r"|(?i:\b(?:bearer|basic|token)\s+)(?!\$\{)[A-Za-z0-9._~+/=-]{12,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|passw|passphrase|\bpwd\b|_pwd|credential|authorization|cookie|api[-_]?key|access[-_]?key"
    r"|private[-_]?key|(?:^|[-_])(?:key|auth|pat|pw|pass)$|^bearer$"
)
_CAMEL_KEY: Final = re.compile(r"[a-z0-9]Key$")
_REFERENCE: Final = re.compile(r"\$\{[^{}]*\}")
_FILLER: Final = re.compile(r"(?i)your|example|change[-_ ]?me|placeholder|dummy|xxx|<[^>]*>|^\W*$|redacted|insert")
_FLAG: Final = re.compile(r"^--?[A-Za-z][A-Za-z0-9_.-]*$")
_INLINE: Final = re.compile(r"^-{0,2}([A-Za-z][A-Za-z0-9_.-]*)[=:](?!//)\s*(.+)$", re.DOTALL)
_CREDENTIALS: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*@", re.IGNORECASE)
_URL_WITH_MORE: Final = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/?#]*@|[^?#]*[?#])", re.IGNORECASE)
_HIDING_KEYS: Final = frozenset({"env", "headers", "environment", "http_headers", "httpHeaders", "requestInit"})
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_RUN: Final = re.compile(r"[^\s:,{}\[\]\"'#]{6,}(?![\"']?\s*:)(?![^\s:,{}\[\]\"'#])")
_BLOCK_OPENER: Final = re.compile(r"(?:^|[\s{,\"'])(?:env|headers|environment|http_headers|httpHeaders)[\"']?\s*:")

_LEAST_SECRET: Final = 12
_LEAST_ENTROPY: Final = 3.0


class Span(NamedTuple):
    """A stretch of source text that must never be shown; `end` is exclusive."""

    start: Place
    end: Place


def is_secret_name(name: str) -> bool:
    """Whether a key, variable, header or flag of this name usually carries a secret."""
    return bool(_SECRET_NAME.search(name) or _CAMEL_KEY.search(name))


def looks_secret(value: str, name: str = "") -> bool:
    """Whether a literal is probably a secret: a known token form, or something random under a telling name.

    References (`${...}`) and fill-in texts such as `YOUR_API_KEY` do not count.
    """
    rest = _REFERENCE.sub("", value)
    if _TOKEN.search(rest):
        return not _FILLER.search(rest)
    if not is_secret_name(name) or len(rest) < _LEAST_SECRET or _FILLER.search(rest):
        return False
    if re.search(r"\s", rest.strip()) or "://" in rest or rest.startswith(("/", "./", "~")):
        return False
    return _entropy(rest) >= _LEAST_ENTROPY


def _entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def inline_value(item: str) -> tuple[str, str] | None:
    """Name and value of an argument that holds both: `--token=V`, `API_KEY=V` (docker -e), `Authorization: V`."""
    match = _INLINE.match(item)
    return (match[1], match[2]) if match else None


def secret_argument(previous: str | None, item: str) -> bool:
    """Whether an argument probably holds a secret: by its own form, or as the value of a flag like `--api-key`."""
    inline = inline_value(item)
    if looks_secret(item) or _CREDENTIALS.match(item) or (inline and is_secret_name(inline[0])):
        return True
    if previous is None or not _FLAG.match(previous):
        return False
    return is_secret_name(previous.lstrip("-")) and not item.startswith("-")


def hidden_spans(node: Node) -> list[Span]:
    """Every stretch of the file that may be a secret: all values of `env` and `headers`, and what looks like one."""
    return list(_walk(node, "", hide=False))


def _walk(node: Node, name: str, *, hide: bool) -> Iterator[Span]:
    if isinstance(node, Scalar):
        if hide or _hidden_scalar(node.text, name):
            yield Span(node.start, node.end)
    elif isinstance(node, Listing):
        previous: str | None = None
        for item in node.items:
            text = item.text if isinstance(item, Scalar) else None
            yield from _walk(item, name, hide=hide or (text is not None and secret_argument(previous, text)))
            previous = text
    else:
        yield from _walk_table(node, hide=hide)


def _walk_table(table: Table, *, hide: bool) -> Iterator[Span]:
    for entry in every_entry(table):
        if looks_secret(entry.key) or (hide and not _PLAIN_KEY.fullmatch(entry.key)):
            yield Span(entry.start, entry.end)
        yield from _walk(entry.value, entry.key, hide=hide or entry.key in _HIDING_KEYS)


def _hidden_scalar(text: str, name: str) -> bool:
    """More careful than `looks_secret`: a short password under a telling name is hidden too, though not warned of."""
    if _URL_WITH_MORE.match(text) or looks_secret(text, name):
        return True
    return is_secret_name(name) and text not in {"", "true", "false"}


def shown(text: str, limit: int = 60) -> str:
    """A value or key as it may be quoted in a message: short, one line, never a secret."""
    if looks_secret(text) or _URL_WITH_MORE.match(text):
        return MASK
    clean = "".join(c if c.isprintable() else " " for c in text)
    return f'"{clean}"' if len(clean) <= limit else f'"{clean[: limit - 1]}…"'


def mask_line(line: str, number: int, spans: list[Span]) -> list[tuple[int, int]]:
    """The parts of one line (0-based half-open character ranges, merged) that `spans` hide, and tokens in comments."""
    ranges = []
    for start, end in spans:
        if start.line <= number <= end.line:
            first = start.column - 1 if start.line == number else len(line) - len(line.lstrip())
            last = end.column - 1 if end.line == number else len(line)
            if last > first:
                ranges.append((first, last))
    return _merged(ranges + [match.span() for match in _TOKEN.finditer(line)])


def guess_ranges(lines: list[str], number: int) -> list[tuple[int, int]]:
    """What to hide of a line in a file that could not be parsed: rather too much than too little.

    Inside an `env` or `headers` block everything after the first colon goes; elsewhere every word of six characters
    or more that stands after a colon and is no key.
    """
    line = lines[number - 1]
    colon = line.find(":")
    if _in_hiding_block(lines, number):
        return [(colon + 1 if colon >= 0 else 0, len(line))]
    if colon < 0:
        return _merged([match.span() for match in _RUN.finditer(line)])
    named = is_secret_name(line[:colon].strip(" \t-\"'{"))
    return [(colon + 1, len(line))] if named else _merged([match.span() for match in _RUN.finditer(line, colon)])


def _in_hiding_block(lines: list[str], number: int) -> bool:
    """Whether the line or any less indented line above it opens an `env` or `headers` block."""
    line = lines[number - 1]
    if _BLOCK_OPENER.search(line):
        return True
    indent = len(line) - len(line.lstrip())
    for above in reversed(lines[: number - 1]):
        if not above.strip():
            continue
        depth = len(above) - len(above.lstrip())
        if _BLOCK_OPENER.search(above) and (depth <= indent or "{" in above):
            return True
        indent = min(indent, depth)
        if indent == 0 and depth == 0:
            return False
    return False


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
