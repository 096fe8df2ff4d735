"""What a command does with a gateway, whichever it is: the one that runs, or one of this process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

Found = TypeVar("Found")


class Actor(Protocol):
    """Carries out actions by name; `running` tells whether that happens in a gateway that was there before."""

    @property
    def running(self) -> bool:
        """True for the gateway that is running, False for one of our own."""
        ...

    async def ask(self, action: str, args: dict[str, Any]) -> Any:
        """The answer of one action, plain JSON. Raises Ended with the exit code that a failure means."""
        ...


Work = Callable[[Actor], Coroutine[Any, Any, Found]]
