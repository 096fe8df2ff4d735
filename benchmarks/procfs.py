"""What processes cost, read from /proc: processor time, memory, descriptors, of a process and all its descendants."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory in kB (`pss`: shared pages divided among those who share them) and open descriptors."""

    rss: int
    pss: int
    descriptors: int
    processes: int


def family(root: int, without: Collection[int] = ()) -> list[int]:
    """Process ids of `root` and its descendants, less those in `without` (whose own descendants stay in)."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, open_ends = [], [root]
    while open_ends:
        pid = open_ends.pop()
        found.append(pid)
        open_ends += children.get(pid, [])
    return [pid for pid in found if pid not in without]


def cpu_seconds(pids: Collection[int]) -> float:
    """User and system time of the processes so far, ended threads included.

    The kernel counts `stat` in ticks of 10 ms; `schedstat` has nanoseconds, but of living threads only. The greater of
    the two is exact where threads live on and right where they do not.
    """
    total = 0.0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            ticks = (int(fields[11]) + int(fields[12])) / TICKS
            total += max(ticks, _scheduled(pid))
    return total


def footprint(pids: Collection[int]) -> Footprint:
    """Memory and descriptors of the processes together; one that is gone counts nothing."""
    rss = pss = descriptors = 0
    for pid in pids:
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
            descriptors += len(list((PROC / str(pid) / "fd").iterdir()))
        except OSError:
            continue
        sizes = {line.split(":")[0]: line.split()[1] for line in rollup.splitlines()[1:]}
        rss += int(sizes.get("Rss", 0))
        pss += int(sizes.get("Pss", 0))
    return Footprint(rss, pss, descriptors, len(pids))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name (the state is the first), or None when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _scheduled(pid: int) -> float:
    total = 0
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except OSError:
        return 0.0
    return total / 1e9
