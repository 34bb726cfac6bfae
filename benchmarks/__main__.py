"""This engine among its contenders, and how it bears backlogs and bad neighbours.

    python -m benchmarks [--rounds 3] [--only NAME ...] [--quick] [--output docs]

Everything that is needed and not here is put into a folder of its own below the user's cache. Without --quick and
--only the report is written to OUTPUT/benchmarks.md with plots beside it; else it is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, report, scenarios
from benchmarks.contenders.field import CONTENDERS, QUICK_SCALES, SCALES
from benchmarks.scenarios import SCENARIOS
from benchmarks.stage import ROOT
from benchmarks.surroundings import surroundings
from benchmarks.tournament import play

LOW_LOAD_EVENTS, QUICK_LOW_LOAD_EVENTS = 200, 10


def main(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    if sys.platform != "linux":
        sys.exit("The figures are read from /proc: this needs Linux.")
    described = machine.described()
    with surroundings(cache_folder()) as given:
        entries = play(
            given,
            [contender for contender in CONTENDERS if not options.only or contender.name in options.only],
            1 if options.quick else options.rounds,
            QUICK_SCALES if options.quick else SCALES,
            QUICK_LOW_LOAD_EVENTS if options.quick else LOW_LOAD_EVENTS,
        )
        sections = scenarios.run(given, options.only, quick=options.quick)
    written = report.Report(described, given.receiver_name, entries, sections, cache_folder())
    if options.output:
        written.write(options.output)
    else:
        print(written.text())
    return 1 if any(entry.failure for entry in entries) or any(section.failure for section in sections) else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    names = [*(contender.name for contender in CONTENDERS), *SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=names, action="append", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="small numbers, one round: does it work?")
    parser.add_argument("--output", type=Path, help="the folder that gets benchmarks.md and its plots")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    if not (options.quick or options.only or options.output):
        options.output = ROOT / "docs"
    return options


def cache_folder() -> Path:
    """Return the folder that keeps programs and environments from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "django-workspace-webhooks-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
