"""Tokens that callers sign in with, as they are kept: never the token itself, only its hash."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `digest` is its SHA-256; `name` the caller it stands for, whose principal is `token:NAME`.

    `profile` is the only one that it enters by (None: the caller's choice), `scopes` what it is good for (None:
    everything). Times are seconds since the epoch; `expires` and `revoked` are None for never.
    """

    id: str
    name: str
    digest: bytes
    created: float
    expires: float | None = None
    revoked: float | None = None
    scopes: tuple[str, ...] | None = None
    groups: tuple[str, ...] = ()
    profile: str | None = None

    def is_good(self, now: float) -> bool:
        """Whether it lets anybody in at this time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def state(self, now: float) -> str:
        """In a word: `good`, `expired` or `revoked`."""
        return "revoked" if self.revoked is not None else "good" if self.is_good(now) else "expired"
