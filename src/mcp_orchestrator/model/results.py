"""Large results: how much of one is handed on at once, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """The most of a result that is handed on at once; None is no bound.

    `bytes` is the length of the whole result as JSON, `items` how many elements of each array (of its content, its
    structured content, its messages), `lines` how many lines of all its texts together.
    """

    bytes: int | None = None
    items: int | None = None
    lines: int | None = None

    def under(self, general: Bound) -> Bound:
        """This bound, with those of `general` where it says nothing."""
        return Bound(
            general.bytes if self.bytes is None else self.bytes,
            general.items if self.items is None else self.items,
            general.lines if self.lines is None else self.lines,
        )

    def and_also(self, other: Bound) -> Bound:
        """The smaller of both, number by number."""
        return Bound(_least(self.bytes, other.bytes), _least(self.items, other.items), _least(self.lines, other.lines))

    def __bool__(self) -> bool:
        """Whether it bounds anything."""
        return self.bytes is not None or self.items is not None or self.lines is not None


UNBOUNDED = Bound()


@dataclass(frozen=True, slots=True)
class ResultsSpec:
    """What the configuration says of large results.

    `inline` is the general bound, `tools` those of single tools, as patterns over `SERVER.NAME` in the order of the
    file. Wholes are kept for `keep` seconds, in at most `space` bytes.
    """

    inline: Bound = UNBOUNDED
    tools: tuple[tuple[str, Bound], ...] = ()
    keep: float = 3600.0
    space: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptResult:
    """The whole of a result. `owner` says who may read it, `body` is the result object as the server wrote it.

    `made` and `expires` are seconds since the epoch, `digest` the SHA-256 (hex) of `body`.
    """

    run: str
    owner: str
    method: str
    made: float
    expires: float
    digest: str
    body: bytes


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
