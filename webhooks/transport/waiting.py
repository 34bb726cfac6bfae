"""Requests whose host name is being looked up."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from itertools import count

from .names import Answer
from .outgoing import Outgoing
from .resolver import Resolver


class Waiting:
    """Holds each request until its name's answer comes, or its time to connect is over."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._requests: dict[str, dict[int, Outgoing]] = {}
        self._deadlines: list[tuple[float, int, str]] = []
        self._numbers = count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, outgoing: Outgoing) -> None:
        """Have the request's name looked up."""
        number, host = next(self._numbers), outgoing.destination.host
        self._requests.setdefault(host, {})[number] = outgoing
        heapq.heappush(self._deadlines, (outgoing.connect_until, number, host))
        self._size += 1
        self._resolver.ask(host, outgoing.neighbours)

    def ready(self, patience: float = 0) -> Iterator[tuple[Outgoing, Answer | None]]:
        """Yield the requests that wait no longer, each with its answer, or None when its time is over.

        With nothing to yield it waits up to `patience` seconds for an answer.
        """
        for host, answer in self._resolver.collect(patience):
            for outgoing in self._requests.pop(host, {}).values():
                self._size -= 1
                yield outgoing, answer
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _, number, host = heapq.heappop(self._deadlines)
            late = self._requests.get(host, {}).pop(number, None)
            if late is not None:
                self._size -= 1
                yield late, None
            if host in self._requests and not self._requests[host]:
                del self._requests[host]
                self._resolver.give_up(host)

    def clear(self) -> None:
        """Forget every request: whoever wanted the results has gone."""
        self._requests.clear()
        self._deadlines.clear()
        self._size = 0
        self._resolver.give_all_up()
