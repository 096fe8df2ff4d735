"""Patterns of rules and budgets over names, prepared once: of several, one must fit."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Final

_WILD: Final = re.compile(r"[*?\[]")


class Patterns:
    """Some patterns of which one must fit. None at all: everything fits."""

    __slots__ = ("_expression", "_words", "any")

    def __init__(self, patterns: Sequence[str]) -> None:
        wild = [one for one in patterns if _WILD.search(one)]
        self.any = not patterns
        self._words = frozenset(one for one in patterns if one not in wild)
        self._expression = re.compile("|".join(fnmatch.translate(one) for one in wild)) if wild else None

    def fit(self, word: str) -> bool:
        """Whether one of them fits a word."""
        if self.any or word in self._words:
            return True
        return self._expression is not None and self._expression.match(word) is not None

    def fit_one_of(self, words: Sequence[str]) -> bool:
        """Whether one of them fits one of some words."""
        return self.any or any(self.fit(word) for word in words)
