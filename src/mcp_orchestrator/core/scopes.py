"""What a token is good for: a few words, each for a kind of call, with or without a pattern over names.

`tools` calls tools of servers, `resources` reads and subscribes to resources, `prompts` gets prompts, `delegate` hands
work to agents, `runs` looks at runs of one's own, answers and stops them. `WORD:PATTERN` is the word for what fits the
pattern alone, over `SERVER.NAME` as in profiles: `tools:files.read_*`, `resources:docs.*`. No scopes at all (None) is
no limit.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Any, Final, assert_never

from mcp_orchestrator.core.naming import OWN, dotted
from mcp_orchestrator.core.selecting import READER
from mcp_orchestrator.model.call import CallKind
from mcp_orchestrator.model.catalog import OfferKind

TOOLS: Final = "tools"
RESOURCES: Final = "resources"
PROMPTS: Final = "prompts"
DELEGATE: Final = "delegate"
RUNS: Final = "runs"
WORDS: Final = (TOOLS, RESOURCES, PROMPTS, DELEGATE, RUNS)
MISSING_SCOPE: Final = "missingScope"
"""Where the data of a refusal names the scope that the token lacks."""

WITH_PATTERN: Final = (TOOLS, RESOURCES, PROMPTS)

# RFC 6749 section 3.3: no blanks, quotation marks or backslashes in a scope.
_PATTERN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_DELEGATING: Final = frozenset({"delegate", "handoff"})
_LOOKING: Final = ("run_", "context_")


def trouble(scope: str) -> str:
    """Why a text is no scope; "" when it is one."""
    word, colon, pattern = scope.partition(":")
    if word not in WORDS:
        return f"there is no scope '{word}': choose from {', '.join(WORDS)}"
    if not colon:
        return ""
    if word not in WITH_PATTERN:
        return f"scope '{word}' takes no pattern"
    if not _PATTERN.fullmatch(pattern):
        return f"the pattern of '{word}:' is 1 to 256 characters without blanks, quotation marks and backslashes"
    return ""


def missing(scopes: Sequence[str], kind: CallKind, backend: str, name: str, params: Any = None) -> str:
    """The scope that a call lacks, as the narrowest that would do; "" when it has it.

    `backend` and `name` are where the call goes; `params` are read for what a completion is about.
    """
    word = _word_for(kind, backend, name, params)
    full = dotted(backend, name)
    if word is None or allows(scopes, word, full):
        return ""
    narrow = any(scope.startswith(f"{word}:") for scope in scopes)
    return f"{word}:{full}" if narrow else word


def allows(scopes: Sequence[str], word: str, full: str) -> bool:
    """Whether one of the scopes is this word, or this word for this name."""
    for scope in scopes:
        if scope == word:
            return True
        head, colon, pattern = scope.partition(":")
        if colon and head == word and fnmatch.fnmatchcase(full, pattern):
            return True
    return False


def lists(scopes: Sequence[str], kind: OfferKind, backend: str, name: str) -> bool:
    """Whether something is listed for these scopes: what may be used (of a template, as it is written)."""
    match kind:
        case OfferKind.TOOL:
            return not missing(scopes, CallKind.TOOL, backend, name)
        case OfferKind.PROMPT:
            return not missing(scopes, CallKind.PROMPT, backend, name)
        case OfferKind.RESOURCE | OfferKind.TEMPLATE:
            return not missing(scopes, CallKind.RESOURCE, backend, name)
        case _:
            assert_never(kind)


def _word_for(kind: CallKind, backend: str, name: str, params: Any) -> str | None:
    match kind:
        case CallKind.TOOL:
            return _word_for_tool(backend, name)
        case CallKind.RESOURCE | CallKind.SUBSCRIPTION:
            return (
                RESOURCES if backend != OWN else None
            )  # a kept result is its owner's, who was allowed to make the call
        case CallKind.PROMPT:
            return PROMPTS
        case CallKind.COMPLETION:
            about = params.get("ref") if isinstance(params, dict) else None
            return RESOURCES if isinstance(about, dict) and about.get("type") == "ref/resource" else PROMPTS
        case CallKind.EXTENSION:
            return TOOLS
        case CallKind.TASK:
            return None  # a task is its owner's, who was allowed to begin it
        case _:
            assert_never(kind)


def _word_for_tool(backend: str, name: str) -> str | None:
    if backend != OWN:
        return TOOLS
    if name == READER:
        return None
    return DELEGATE if name in _DELEGATING else RUNS if name.startswith(_LOOKING) else TOOLS
