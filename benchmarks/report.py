"""What was measured, as a page with its plots."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plot
from benchmarks.conditions import conditions
from benchmarks.contenders.field import MANY
from benchmarks.scenarios import Section
from benchmarks.tournament import Entry

HEAD = (
    "contender", "deliveries/s (least – most)", "× one task per delivery", "× django-webhook",
    "CPU µs: workers", "database", "broker", "receiver", "SQL statements", "memory, MB", "p50 / p99, ms",
)  # fmt: skip
# What this engine is to reach: the contender, the one it is compared with, how many times faster (0: no target).
TARGETS = (
    ("deliver-2", "tasks", 45),
    ("qcluster-2", "tasks", 45),
    ("deliver-2", "django-webhook", 70),
    ("qcluster-2", "django-webhook", 70),
    ("sqlite-2", "tasks-sqlite", 12),
    ("deliver-2", "tasks-kept", 0),
    ("deliver-2", "django-webhook-kept", 0),
    ("deliver-2", "django-webhook2", 0),
)
OURS, TASKS, PEERS, CLIENTS = range(4)
COLOURS = {"engine": OURS, "tasks": TASKS, "celery_task": PEERS, "client": CLIENTS}


@dataclass(frozen=True)
class Report:
    machine: Sequence[str]
    receiver: str
    entries: Sequence[Entry]
    sections: Sequence[Section]
    cache: Path

    def write(self, folder: Path) -> None:
        """Write benchmarks.md and, in a folder of the same name, the plots that it shows."""
        plots = folder / "benchmarks"
        plots.mkdir(parents=True, exist_ok=True)
        for name, svg in self.plots().items():
            (plots / f"{name}.svg").write_text(svg)
        (folder / "benchmarks.md").write_text(self.text())

    def plots(self) -> dict[str, str]:
        found = {}
        bars = [bar_of(entry) for entry in self.entries if entry.rates]
        if bars:
            found["throughput"] = plot.bars(
                "Deliveries per second: median, and least to most", "deliveries per second, logarithmic", bars
            )
        for section in self.sections:
            if section.lines:
                found["claims"] = plot.lines(
                    "The time of a claim by the size of the backlog",
                    "pending deliveries, logarithmic",
                    "milliseconds, median, logarithmic",
                    section.lines,
                )
        return found

    def text(self) -> str:
        parts = [
            "# Benchmarks",
            "Written by `python -m benchmarks`. Trust the ratios, not the absolute figures.",
        ]
        parts.append("\n".join(f"- {sentence}" for sentence in self.machine))
        if self.entries:
            parts += ["## Contenders", *self._contenders()]
        for section in self.sections:
            parts += [f"## {section.scenario.title}", section.scenario.explanation, *shown(section)]
        return "\n\n".join(parts) + "\n"

    def _contenders(self) -> list[str]:
        rounds = max(len(entry.rounds) for entry in self.entries)
        parts = [
            f"Rounds: {rounds}, each contender in turn; the figures are medians over them, the ratios medians of each "
            "round's ratio. What happens at low load was measured once, after them."
        ]
        if any(entry.rates for entry in self.entries):
            parts.append("![Deliveries per second of each contender](benchmarks/throughput.svg)")
        parts += [self._table(), self._targets()]
        missing = [f"- {entry.contender.title}: {entry.failure}" for entry in self.entries if entry.failure]
        if missing:
            parts += ["Not measured, or not in full:", "\n".join(missing)]
        measured = {entry.contender.name for entry in self.entries if entry.rates}
        facts = conditions(self.receiver, measured, self.cache)
        parts += ["### How each is set up", "\n".join(f"- {fact}" for fact in facts)]
        return [part for part in parts if part]

    def _table(self) -> str:
        rows = [self._row(entry) for entry in self.entries if entry.rates]
        return table(HEAD, rows) if rows else ""

    def _row(self, entry: Entry) -> list[str]:
        memory = entry.median_of("memory")
        compared = entry.contender.database == "postgresql" and entry.contender.webhooks == MANY
        return [
            entry.contender.title,
            f"{statistics.median(entry.rates):,.0f} ({min(entry.rates):,.0f} – {max(entry.rates):,.0f})",
            ratio(entry.ratios_to(self._of("tasks"))) if compared else self._ratio_on_sqlite(entry),
            ratio(entry.ratios_to(self._of("django-webhook"))) if compared else "",
            *(
                number(entry.processor(group), ",.0f")
                for group in ("workers", "database", "broker", "receiver")
            ),
            number(entry.median_of("statements"), ".3g"),
            number(memory / 1e6 if memory else None, ".0f"),
            low_load(entry),
        ]

    def _ratio_on_sqlite(self, entry: Entry) -> str:
        """Compare like with like: on SQLite with one task per delivery on SQLite."""
        return (
            ratio(entry.ratios_to(self._of("tasks-sqlite"))) if entry.contender.database == "sqlite" else ""
        )

    def _targets(self) -> str:
        rows = []
        for ours, theirs, wanted in TARGETS:
            one, another = self._of(ours), self._of(theirs)
            ratios = one.ratios_to(another) if one else []
            if one and another and ratios:
                reached = "reached" if statistics.median(ratios) >= wanted else "missed"
                target, verdict = (f"≥ {wanted}", reached) if wanted else ("none", "")
                rows.append([one.contender.title, another.contender.title, target, ratio(ratios), verdict])
        return table(("this", "times that", "target", "measured", ""), rows) if rows else ""

    def _of(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.contender.name == name), None)


def bar_of(entry: Entry) -> plot.Bar:
    rates = entry.rates
    return plot.Bar(
        name=entry.contender.title.replace("`", ""),
        value=statistics.median(rates),
        least=min(rates),
        most=max(rates),
        colour=COLOURS[entry.contender.module],
    )


def shown(section: Section) -> list[str]:
    failure = [f"Not measured, or not in full: {section.failure}"] if section.failure else []
    image = (
        ["![The time of a claim by the size of the backlog](benchmarks/claims.svg)"] if section.lines else []
    )
    printed = [f"```text\n{section.printed}\n```"] if section.printed else []
    return [*failure, *image, *printed]


def low_load(entry: Entry) -> str:
    if entry.low_load is None or len(entry.low_load.latencies) < 2:
        return ""
    found = entry.low_load.latencies
    return (
        f"{statistics.median(found):.1f} / {statistics.quantiles(found, n=100, method='inclusive')[98]:.1f}"
    )


def ratio(ratios: Sequence[float]) -> str:
    """Return the median with its range."""
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} – {max(ratios):.1f})"


def number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
