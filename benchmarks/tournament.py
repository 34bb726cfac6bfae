"""Every contender in turn, several rounds: what swings with the machine hits all of them alike."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders.assignment import Figures
from benchmarks.contenders.field import Contender
from benchmarks.environments import Unavailable
from benchmarks.surroundings import Surroundings, assignment_for

_STARTED = time.monotonic()


@dataclass
class Entry:
    """A contender and what was measured of it."""

    contender: Contender
    rounds: list[Figures] = field(default_factory=list)
    low_load: Figures | None = None
    failure: str = ""
    """Why it was not measured, if it was not."""

    @property
    def rates(self) -> list[float]:
        return [figures.rate for figures in self.rounds if figures.rate]

    def ratios_to(self, other: Entry | None) -> list[float]:
        """Return how many times faster it was, round by round; nothing if either was not measured."""
        if other is None or not (self.rates and other.rates):
            return []
        return [one / another for one, another in zip(self.rates, other.rates, strict=False)]

    def median_of(self, name: str) -> float | None:
        found = [value for figures in self.rounds if (value := getattr(figures, name)) is not None]
        return statistics.median(found) if found else None

    def processor(self, group: str) -> float | None:
        found = [figures.processor[group] for figures in self.rounds if group in figures.processor]
        return statistics.median(found) if found else None


def play(
    surroundings: Surroundings,
    contenders: Sequence[Contender],
    rounds: int,
    scales: Mapping[str, tuple[int, int]],
    events: int,
) -> list[Entry]:
    entries = [Entry(contender) for contender in contenders]
    for number in range(1, rounds + 1):
        for entry in entries:
            if not entry.failure:
                _measure(surroundings, entry, scales)
                say(f"round {number}: {entry.contender.title}: {_outcome(entry)}")
    for entry in entries:
        if entry.contender.low_load and not entry.failure:
            _measure_low_load(surroundings, entry, scales, events)
            say(f"low load: {entry.contender.title}")
    return entries


def _measure(surroundings: Surroundings, entry: Entry, scales: Mapping[str, tuple[int, int]]) -> None:
    assignment = assignment_for(entry.contender, surroundings.receiver, scales)
    try:
        entry.rounds.append(surroundings.measure(entry.contender, assignment))
    except Unavailable as error:
        entry.failure = str(error)


def _measure_low_load(
    surroundings: Surroundings, entry: Entry, scales: Mapping[str, tuple[int, int]], events: int
) -> None:
    assignment = assignment_for(entry.contender, surroundings.receiver, scales, events)
    try:
        entry.low_load = surroundings.measure(entry.contender, assignment)
    except Unavailable as error:
        entry.failure = str(error)


def _outcome(entry: Entry) -> str:
    return entry.failure or f"{entry.rates[-1]:,.0f}/s"


def say(text: str) -> None:
    """Tell whoever waits, with the seconds since the start; the report itself goes elsewhere."""
    print(f"{time.monotonic() - _STARTED:4.0f} s  {text}", file=sys.stderr, flush=True)
