"""What is no contest: scripts of this package whose output the report takes over, each in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass, field

from benchmarks.environments import Unavailable
from benchmarks.stage import ROOT
from benchmarks.surroundings import Surroundings
from benchmarks.tournament import say

# For each line of the plot, by its name: pending rows and milliseconds.
Lines = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    title: str
    explanation: str
    module: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...]
    seconds: float = 300
    """The time after which it is ended."""
    starts: str = ""
    """Only the printed lines that start so are of interest."""
    plotted: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    scenario: Scenario
    printed: str = ""
    failure: str = ""
    lines: Lines = field(default_factory=dict)


SCENARIOS = {
    "neighbours": Scenario(
        title="Bad neighbours",
        explanation=(
            "One worker; an event every 50 ms. First half of 20 webhooks never answer; then another webhook owns "
            "a long backlog, which the worker sends meanwhile; last another workspace owns one, and two workers send "
            "it. Times run from the emit to the end of the attempt."
        ),
        module="neighbours",
        arguments=(),
        quick=("--seconds", "1", "--backlog", "5000", "--flood", "5000"),
    ),
    "memory": Scenario(
        title="Memory",
        explanation="One worker whose slots are all taken, because the receiver answers after a second.",
        module="memory",
        arguments=(),
        quick=("--seconds", "1", "--backlog", "5000"),
    ),
    "emit": Scenario(
        title="The time of an emit",
        explanation="Within a transaction, with its fan-out to the subscribed webhooks.",
        module="cost",
        arguments=("--deliveries", "2000"),
        quick=("--deliveries", "200"),
        starts="emit",
    ),
    "claims": Scenario(
        title="The time of a claim by the size of the backlog",
        explanation=(
            "Each claim takes what is free, 512 at most. `behind`: one webhook that can take nothing more owns the "
            "whole backlog, another has one fresh row."
        ),
        module="backlog",
        arguments=("--rows", "10000", "1000000", "5000000", "--webhooks", "1", "100", "10000"),
        quick=("--rows", "2000", "4000", "--webhooks", "1"),
        seconds=600,
        plotted=True,
    ),
}


def run(surroundings: Surroundings, only: Collection[str] | None, *, quick: bool) -> list[Section]:
    names = [name for name in SCENARIOS if not only or name in only]
    return [_run(surroundings, SCENARIOS[name], quick=quick) for name in names]


def _run(surroundings: Surroundings, scenario: Scenario, *, quick: bool) -> Section:
    say(scenario.title)
    arguments = scenario.quick if quick else scenario.arguments
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{scenario.module}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    failure = ""
    try:
        # Ending with 1, and no complaint, says that a target was missed: what was printed says which.
        printed = surroundings.output(command, environment, scenario.seconds, accepted=(0, 1))
    except Unavailable as error:
        printed, failure = error.printed, str(error)
    kept = "\n".join(line for line in printed.splitlines() if line.startswith(scenario.starts))
    lines = claim_lines(kept) if scenario.plotted else {}
    return Section(scenario=scenario, printed=kept, failure=failure, lines=lines)


def claim_lines(printed: str) -> Lines:
    """Return the medians of the table that `benchmarks.backlog` prints, by the number of webhooks."""
    lines: Lines = {}
    for row in printed.splitlines()[1:]:
        pending, webhooks, _, median, _ = row.replace(",", "").split()
        name = "behind a full webhook" if webhooks == "behind" else f"webhooks: {int(webhooks):,}"
        lines.setdefault(name, []).append((float(pending), float(median)))
    return lines
