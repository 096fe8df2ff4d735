"""What a case found: tables, targets and failures, printed plainly or kept as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from measure import Line


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that must not exceed `limit`."""

    what: str
    value: float
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether it does not."""
        return self.value <= self.limit


@dataclass(slots=True)
class Result:
    """One case: its rows (all with the columns of `columns`), its targets, and what went wrong."""

    case: str
    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Nothing failed and every target is met."""
        return not self.failures and all(target.met for target in self.targets)

    def text(self) -> str:
        """The case as lines for a terminal."""
        lines = [f"== {self.case}: {self.title}", *_table([list(self.columns), *self.rows])]
        for target in self.targets:
            verdict = "met" if target.met else "MISSED"
            lines.append(f"{verdict:>7}  {target.what}: {target.value:.4g} {target.unit} (at most {target.limit:g})")
        lines += [f" FAILED  {failure}" for failure in self.failures[:10]]
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """The case as plain data."""
        return asdict(self) | {"good": self.good}


LOAD_COLUMNS = ("subject", "CPU us/call", "least-most", "x nginx", "p50 us", "p99 us", "calls/s", "calls")


def load_result(case: str, title: str, lines: Sequence[Line]) -> Result:
    """The result of an interleaved load: one row per subject, with the ratio to nginx in the same run."""
    result = Result(case, title, LOAD_COLUMNS)
    base = cpu_of(lines, "nginx")
    for line in lines:
        cpu, (least, most) = line.median("cpu"), line.spread("cpu")
        result.rows.append(
            [
                line.subject,
                f"{cpu:.1f}" if cpu else "-",
                f"{least:.1f}-{most:.1f}" if cpu else "-",
                f"{cpu / base:.2f}" if base and cpu else "-",
                f"{line.median('p50'):.0f}",
                f"{line.median('p99'):.0f}",
                f"{line.median('throughput'):.0f}",
                str(sum(item.calls for item in line.slices)),
            ]
        )
        result.failures += [f"{line.subject}: {failure}" for failure in line.failures]
        if not line.slices:
            result.failures.append(f"{line.subject}: not one call")
        result.raw[line.subject] = [asdict(item) for item in line.slices]
    return result


def cpu_of(lines: Iterable[Line], subject: str) -> float:
    """Median processor microseconds per call of one subject; 0 when it did not take part."""
    return next((line.median("cpu") for line in lines if line.subject == subject), 0.0)


def p50_of(lines: Iterable[Line], subject: str) -> float:
    """Median of the median latencies of one subject, in microseconds; 0 when it did not take part."""
    return next((line.median("p50") for line in lines if line.subject == subject), 0.0)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
