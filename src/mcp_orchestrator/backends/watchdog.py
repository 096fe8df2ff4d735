"""The watchdog: a tiny program that ends all children of a gateway once that gateway is gone, even by `kill -9`.

Run as `python -I -S watchdog.py MARKER` with the read end of a pipe as standard input; the gateway holds the other end
and writes lines `+PGID START MARKER` and `-PGID`. The end of the input means that the gateway is gone. The file uses
the standard library alone, so that it runs without the package; the gateway imports `kill_tree` from it.

Who is killed: members of the registered process groups, on Linux also every process whose environment carries the
marker (children that called setsid), and the descendants of all those. A number is never trusted alone, for it may
have been given to somebody else: a group counts when its leader has the recorded start time or a member carries the
marker.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GATEWAY_MARKER = "MCP_ORCHESTRATOR_GATEWAY"
CHILD_MARKER = "MCP_ORCHESTRATOR_CHILD"

_TERM_SECONDS = 0.7
_POLL_SECONDS = 0.02
_KILL_ROUNDS = 10


class Process:
    """One row of the process table. `start` is in clock ticks since boot, as text."""

    __slots__ = ("group", "parent", "start")

    def __init__(self, parent: int, group: int, start: str) -> None:
        self.parent = parent
        self.group = group
        self.start = start


def start_of(pid: int) -> str:
    """The start time of a process as /proc tells it; "" when it is gone, a zombie, or there is no /proc."""
    process = _read(pid)
    return process.start if process else ""


def _read(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib would double the memory of the watchdog
            text = file.read()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split()
    if fields[0] in {b"Z", b"X"}:
        return None
    return Process(int(fields[1]), int(fields[2]), fields[19].decode())


def _table() -> dict[int, Process]:
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        if name.isdecimal():
            process = _read(int(name))
            if process is not None:
                found[int(name)] = process
    return found


def _carries(pid: int, needle: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            return needle in file.read()
    except OSError:
        return False


def victims(needle: bytes, groups: dict[int, str]) -> set[int]:
    """Process ids that belong to us: marked with `needle`, in a group of `groups` (id to start time), or descendants."""
    table = _table()
    own = os.getpid()
    table.pop(own, None)
    marked = {pid for pid in table if _carries(pid, needle)}
    sound = {table[pid].group for pid in marked} & groups.keys()
    sound |= {group for group, start in groups.items() if start and group in table and table[group].start == start}
    found = marked | {pid for pid, process in table.items() if process.group in sound}
    more = found
    while more:
        more = {pid for pid, process in table.items() if process.parent in more} - found
        found |= more
    return found


def kill_tree(needle: bytes, groups: dict[int, str], *, term: float = _TERM_SECONDS) -> int:
    """End everything that `victims` finds: SIGTERM, up to `term` seconds, SIGKILL until nothing is left (bounded).

    Blocks; returns how many processes were found at first.
    """
    if not os.path.isdir("/proc/self"):  # noqa: PTH112 - as above
        return _kill_groups(groups, term)
    first = victims(needle, groups)
    _signal(first, signal.SIGTERM)
    left, until = first, time.monotonic() + term
    while left and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        left = {pid for pid in left if _read(pid) is not None}
    for _round in range(_KILL_ROUNDS if first else 0):
        left = victims(needle, groups)
        if not left:
            break
        _signal(left, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return len(first)


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue  # gone already, or not ours


def _kill_groups(groups: dict[int, str], term: float) -> int:
    """Without /proc (macOS): the registered groups, which the gateway takes off the list as soon as they end."""
    alive = 0
    for group in groups:
        try:
            os.killpg(group, signal.SIGTERM)
            alive += 1
        except OSError:
            continue
    if alive:
        time.sleep(term)
    for group in groups if alive else ():
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue
    return alive


def _follow(groups: dict[int, str], line: bytes) -> None:
    """Take in one line of the gateway."""
    words = line.split()
    if len(words) == 2 and words[0] == b"+":  # noqa: PLR2004 - without /proc there is no start time
        words.append(b"")
    if line.startswith(b"+"):
        groups[int(words[1])] = words[2].decode()
    elif line.startswith(b"-"):
        groups.pop(int(words[1]), None)


def main() -> None:
    """Read what is to be watched until the gateway is gone, then end it all."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, str] = {}
    rest = b""
    while chunk := os.read(0, 65536):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            _follow(groups, line)
    kill_tree(f"{GATEWAY_MARKER}={sys.argv[1]}".encode(), groups)


if __name__ == "__main__":
    main()
