"""Regular expressions of rules: RE2, whose time grows with the length of the text alone."""

from __future__ import annotations

from typing import Any


def expression(text: str) -> Any:
    """A compiled expression.

    Raises:
        ValueError: it is none; the text says why.
    """
    # 10 ms that are not spent without an expression.
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else str(error)
        raise ValueError(said.decode() if isinstance(said, bytes) else said) from error
