"""Takes secrets that we gave to a server out of what it says, before that is shown or kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from mcp_orchestrator.model.snapshot import BackendSpec, Secret


def redactor(spec: BackendSpec) -> Callable[[str], str]:
    """A function that replaces every confidential word of a server's definition, the longest first."""
    return words_redactor(spec.confidential)


def words_redactor(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """A function that replaces every one of these words, the longest first."""
    words = {secret.reveal() for secret in secrets} - {""}
    if not words:
        return str
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    mask = str(Secret(""))
    return lambda text: pattern.sub(mask, text)
