"""What a contender's processes use: processor time by group, peak memory, SQL statements. Linux only: /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The counters at one moment. Seconds, but for `statements`: a number."""

    moment: float
    processor: Mapping[str, float]
    statements: int


class Meter:
    """Reads the counters of groups of processes; each group is the roots of process trees."""

    def __init__(self, groups: Mapping[str, Sequence[int]], statements: Path) -> None:
        self.groups = groups
        self.statements = statements

    def read(self) -> Reading:
        used = {name: sum(map(processor_seconds, tree(pids))) for name, pids in self.groups.items()}
        count = self.statements.stat().st_size if self.statements.exists() else 0
        return Reading(moment=time.perf_counter(), processor=used, statements=count)


def tree(pids: Iterable[int]) -> Iterator[int]:
    """Yield the processes and all that descend from them."""
    for pid in pids:
        yield pid
        yield from tree(_children(pid))


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def processor_seconds(pid: int) -> float:
    """Return what a process, and those of its children that it has waited for, have used; 0 if it has ended.

    A sum over a tree never falls: what a child used is counted by its parent as soon as the child is reaped.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def peak_memory(pids: Iterable[int]) -> int:
    """Return the most bytes that any one process of the trees has held in memory."""
    return max((_peak(pid) for pid in tree(pids)), default=0)


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
