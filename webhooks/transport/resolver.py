"""Name look-ups in threads of their own: libcurl's few are soon all taken by names that never resolve.

One thread, the one that drives curl, asks and collects; it never waits for DNS. Only the look-ups themselves
run elsewhere, so nothing here needs a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from .names import UNRESOLVED, Answer

# Look-ups that run at once: in all, and for one group.
THREADS = 64
PER_GROUP = 4
# How many of a group's may be for names that have not resolved before: names that hang leave room for good ones.
UNPROVEN_PER_GROUP = 3
# How long an answer is used; seconds.
KEPT = 30.0
# How many names are remembered.
REMEMBERED = 4096


@dataclass(frozen=True)
class _Finished:
    host: str
    answer: Answer
    at: float
    """Reading of the monotonic clock."""


class Resolver:
    """Looks names up with `answer(host)`, which may block and may raise.

    Whoever asks names a group (a workspace). A group has a line of its own; the lines are served in turn, so
    that no group can keep another's names waiting.
    """

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self._answer = answer
        self._lines: dict[Hashable, dict[str, None]] = {}
        self._running: dict[str, Hashable] = {}
        self._finished: SimpleQueue[_Finished] = SimpleQueue()
        # Answers with the time until which they are used. Later they still tell that the name resolves.
        self._kept: dict[str, tuple[float, Answer]] = {}

    @property
    def is_running(self) -> bool:
        """Whether a look-up is running, asked for or given up."""
        return bool(self._running)

    def kept(self, host: str) -> Answer | None:
        """Return an answer that is still good, or None."""
        until, answer = self._kept.get(host, (0.0, None))
        return answer if until > time.monotonic() else None

    def ask(self, host: str, group: Hashable) -> None:
        """Have a name looked up: `collect` will yield it. A name that is being looked up is not asked twice."""
        if host not in self._running:
            self._lines.setdefault(group, {})[host] = None
            self._start()

    def give_up(self, host: str) -> None:
        """Nobody waits for this name any more. A look-up that runs is left to end by itself."""
        self._leave(host)
        if host in self._running:
            self._kept.pop(host, None)

    def give_all_up(self) -> None:
        """Nobody waits for any name any more."""
        self._lines.clear()

    def collect(self, patience: float = 0) -> Iterator[tuple[str, Answer]]:
        """Yield each name that has been looked up, after waiting up to `patience` seconds for a first one."""
        while self._running:
            try:
                finished = self._finished.get(block=patience > 0, timeout=patience)
            except Empty:
                return
            patience = 0
            del self._running[finished.host]
            self._keep(finished)
            self._start()
            yield finished.host, finished.answer

    def _keep(self, finished: _Finished) -> None:
        self._kept.pop(finished.host, None)
        if finished.answer.error_kind:
            return
        self._kept[finished.host] = (finished.at + KEPT, finished.answer)
        if len(self._kept) > REMEMBERED:
            del self._kept[next(iter(self._kept))]  # the oldest

    def _start(self) -> None:
        """Start what may run."""
        while len(self._running) < THREADS and (turn := self._next()):
            group, host = turn
            self._lines[group] = self._lines.pop(group)  # its line is served last the next time
            self._leave(host)
            self._run(host, group)

    def _next(self) -> tuple[Hashable, str] | None:
        """Return a group that may have another look-up, and which: the first line's that has one."""
        for group, line in self._lines.items():
            running = [host for host, its_group in self._running.items() if its_group == group]
            if len(running) >= PER_GROUP:
                continue
            room = sum(host not in self._kept for host in running) < UNPROVEN_PER_GROUP
            for host in line:
                if room or host in self._kept:
                    return group, host
        return None

    def _leave(self, host: str) -> None:
        """Take a name out of every line."""
        for group, line in list(self._lines.items()):
            line.pop(host, None)
            if not line:
                del self._lines[group]

    def _run(self, host: str, group: Hashable) -> None:
        self._running[host] = group
        thread = threading.Thread(target=self._look_up, args=(host,), name="webhooks-resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread to give
            self._finished.put(_Finished(host, UNRESOLVED, time.monotonic()))

    def _look_up(self, host: str) -> None:
        try:
            answer = self._answer(host)
        except Exception:  # noqa: BLE001  whatever it was, the name did not resolve
            answer = UNRESOLVED
        self._finished.put(_Finished(host, answer, time.monotonic()))
