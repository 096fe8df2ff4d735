"""Runs another Python program and, on SIGUSR1, writes how many objects it holds: `counted.py FILE (-m MODULE | SCRIPT) ARGUMENTS`.

The file gets two numbers: objects that the garbage collector tracks, and allocated memory blocks (every small object
has one, strings and bytes included). A collection runs before the count.
"""

from __future__ import annotations

import gc
import runpy
import signal
import sys
from pathlib import Path


def main() -> None:
    """Set the signal up and become the other program."""
    target, *command = sys.argv[1:]

    def count(_signal: int, _frame: object) -> None:
        gc.collect()
        partial = Path(f"{target}.partial")
        partial.write_text(f"{len(gc.get_objects())} {sys.getallocatedblocks()}")
        partial.rename(target)

    signal.signal(signal.SIGUSR1, count)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
