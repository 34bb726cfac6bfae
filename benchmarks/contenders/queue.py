"""How every contender with a queue is measured: owe, start the workers, read the counters, wait, read again.

Only the standard library is needed here: the peers' own environments import it too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.contenders.assignment import Assignment, Figures
from benchmarks.meter import Meter, Reading, peak_memory
from benchmarks.receiving import receiving
from benchmarks.stage import wait_until
from project.processes import Child, stop_all

# Seconds.
PATIENCE = 120
POLL = 0.05
# All is recorded by then, and the next contender empties the queue: nobody waits for a graceful end.
STOPPING = 1
PAUSE = 0.05
# The first few show how a connection is opened.
UNCOUNTED = 5


class Queue(Protocol):
    """One way to keep deliveries and send them."""

    def prepare(self, receiver: str, webhooks: int) -> None:
        """Make an empty database with so many webhooks."""

    def owe(self, count: int) -> int:
        """Put at least so many deliveries on the queue; return how many."""

    def emit(self, number: int) -> None:
        """Let one event happen, as an application would. Its JSON holds `mark(number)`."""

    def recorded(self) -> int:
        """Return how many deliveries are known to have succeeded."""

    def commands(self) -> list[list[str]]:
        """Return the commands that start the workers."""

    def environment(self) -> Mapping[str, str]:
        """Return what the workers need beside this process's environment."""


def main(queue_of: Callable[[int], Queue]) -> None:
    """Measure what the first argument asks for, on the queue for so many worker processes, and print it."""
    assignment = Assignment.loaded(sys.argv[1])
    queue = queue_of(assignment.processes)
    figures = latency(queue, assignment) if assignment.events else throughput(queue, assignment)
    print(figures.dumped(), flush=True)


def throughput(queue: Queue, assignment: Assignment) -> Figures:
    queue.prepare(assignment.receiver, assignment.webhooks)
    total = queue.owe(assignment.warm_up + assignment.deliveries)
    with running(queue) as workers:
        groups = {"workers": workers, **{name: [pid] for name, pid in assignment.watched.items()}}
        meter = Meter(groups, Path(assignment.statements))
        wait_until(lambda: queue.recorded() >= assignment.warm_up, PATIENCE, POLL)
        before, first = queue.recorded(), meter.read()
        wait_until(lambda: queue.recorded() >= total, PATIENCE, POLL)
        last, memory = meter.read(), peak_memory(workers)
    assert queue.recorded() == total, "something was sent that was not owed"
    return compared(first, last, total - before, memory)


def compared(first: Reading, last: Reading, count: int, memory: int) -> Figures:
    """Return what happened between two readings, for each of `count` deliveries."""
    used = {name: last.processor[name] - first.processor[name] for name in last.processor}
    return Figures(
        rate=count / (last.moment - first.moment),
        processor={name: 1e6 * seconds / count for name, seconds in used.items()},
        statements=(last.statements - first.statements) / count if last.statements else None,
        memory=memory,
    )


def latency(queue: Queue, assignment: Assignment) -> Figures:
    """Emit at an even pace for one webhook, and time the way to the receiver, which is in this process."""
    arrived: dict[int, float] = {}

    def answer(_: Mapping[str, str], body: bytes) -> int:
        arrived.setdefault(number_in(body), time.perf_counter())
        return 200

    with receiving(answer) as url:
        queue.prepare(url, 1)
        with running(queue):
            queue.emit(0)
            wait_until(lambda: 0 in arrived, PATIENCE)
            emitted = {}
            for number in range(1, assignment.events + UNCOUNTED + 1):
                emitted[number] = time.perf_counter()
                queue.emit(number)
                time.sleep(PAUSE)
            wait_until(lambda: emitted.keys() <= arrived.keys(), PATIENCE)
    ways = [1000 * (arrived[number] - started) for number, started in emitted.items()]
    return Figures(latencies=ways[UNCOUNTED:])


def mark(number: int) -> str:
    """Return the text by which an event's number is found in whatever body a contender sends."""
    return f"event-number-{number};"


def number_in(body: bytes) -> int:
    return int(body.partition(b"event-number-")[2].partition(b";")[0])


@contextmanager
def running(queue: Queue) -> Iterator[Sequence[int]]:
    """Run the workers as long as the block lasts; yield the pids of those that were started here."""
    environment = {**os.environ, **queue.environment()}
    children = []
    try:
        for command in queue.commands():
            children.append(Child(command[-1], command, environment, subprocess.DEVNULL))
        yield [child.process.pid for child in children]
    finally:
        stop_all(children, STOPPING)
