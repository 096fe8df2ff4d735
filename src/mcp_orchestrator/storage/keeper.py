"""Which gateway carries out a delegation: each holds a lock of the operating system that ends with its process.

Several gateways share a state file. One that starts takes over what gateways before it left open, but not what
another living one is carrying out. A process id in the row would not tell: numbers are used again, and are others in
another container. A heartbeat would need a time after which a gateway that is only slow counts as dead. So each
gateway makes a file beside the state file, named after itself, and holds `flock` on it: whoever can lock that file, or
does not find it, knows that its gateway has ended, however it ended. The lock is tried inside of a write transaction,
so two gateways that start together cannot take over the same run.

The lock belongs to the open file, not to the process: two gateways in one process tell each other apart, and
programs that are started do not inherit it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from mcp_orchestrator.storage.trouble import StorageError

_TOKEN: Final = re.compile(r"[0-9]+-[0-9a-f]{12}")


class Keeper:
    """One gateway as the keeper of delegations. `token` names it for ever; nothing is made before `hold`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self.token = f"{os.getpid()}-{secrets.token_hex(6)}"

    def hold(self) -> str:
        """Make the file and lock it, the first time; returns the token.

        Raises:
            StorageError: it cannot be made or locked.
        """
        if self._lock is None:
            place = self._place(self.token)
            try:
                lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(lock)
                    raise
            except OSError as error:
                text = (
                    f"{place} cannot be made or locked ({error.strerror}), so nothing may be delegated: make its "
                    "directory yours, or set storage.url to a file on a local disk"
                )
                raise StorageError(error.errno or errno.EACCES, text, self._path) from error
            self._lock = lock
        return self.token

    def release(self) -> None:
        """Let go, so that another gateway may go on with what is still open. Idempotent."""
        lock, self._lock = self._lock, None
        if lock is not None:
            self.forget(self.token)
            os.close(lock)

    def is_alive(self, token: str) -> bool:
        """Whether the gateway of this token still holds its lock. What is no token belongs to nobody."""
        if token == self.token:
            return True
        if not _TOKEN.fullmatch(token):
            return False
        try:
            lock = os.open(self._place(token), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:  # not ours to look at: rather leave a run alone than start it twice
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look are not in each other's way
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def forget(self, token: str) -> None:
        """Remove the file of a gateway that has ended, or is ending."""
        if _TOKEN.fullmatch(token):
            with suppress(OSError):
                self._place(token).unlink(missing_ok=True)

    def _place(self, token: str) -> Path:
        return self._path.with_name(f"{self._path.name}-keeper-{token}")
