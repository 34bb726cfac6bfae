"""A requests transport adapter over libcurl's multi interface."""

from __future__ import annotations

import copy
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pycurl
import requests
from requests.adapters import BaseAdapter

from ..exceptions import SendError
from .bounds import Bounds
from .failures import failure
from .names import NOTHING_TO_RESOLVE, Answer, answer_of, refusal_of
from .outgoing import Key, Outgoing, outgoing_of
from .resolver import Resolver
from .transfer import Transfer
from .tunnel import Gateway
from .waiting import Waiting

Result = tuple[Key, requests.Response | SendError]

# How long the loop sleeps at most: the other side may have something new; seconds.
_PAUSE = 0.01
# How many requests are begun before those under way are looked after. Receivers that answer at once have then few open
# together, which fit into the processor's cache.
_MOST_BEGUN = 32
# After so many rounds that ended no request and left none to take, each begins with a rest: a receiver that floods
# would take the whole processor to have its bytes thrown away. Seconds.
_FRUITLESS_ROUNDS = 10
_REST = 0.002


class CurlAdapter(BaseAdapter):
    """A requests transport adapter over libcurl. One thread may drive it at a time, in the process that made it.

    Redirects are not followed, cookies not kept, nothing is decompressed, and neither the environment's proxies
    nor a .netrc is looked at.

    `look_up`: what resolves host names, in threads; it is called and answers like `socket.getaddrinfo`, which
    is the default.
    """

    def __init__(self, bounds: Bounds | None = None, *, look_up: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.bounds = bounds or Bounds.configured()
        self._look_up = look_up
        self._gateway = Gateway(self.bounds.proxy, self._found) if self.bounds.proxy else None
        self._resolver = Resolver(self._answer)
        self._waiting = Waiting(self._resolver)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, self.bounds.concurrency)
        self._idle: list[Transfer] = []
        self._busy: set[Transfer] = set()

    def close(self) -> None:
        """Close every connection, and look no further name up."""
        self._waiting.clear()
        for transfer in (*self._busy, *self._idle):
            transfer.curl.close()
        self._busy.clear()
        self._idle.clear()
        self._multi.close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send one request. Raises SendError, SendTimeout for a timeout.

        `timeout`: seconds in all, or (connect, in all), as far as they are closer than the adapter's.
        Certificates are always verified, and no proxy but that of the bounds is used, whatever the other arguments
        say.
        """
        bounded: Any = request
        if timeout is not None:
            bounded = copy.copy(request)
            is_pair = isinstance(timeout, tuple)
            bounded.connect_timeout, bounded.timeout = timeout if is_pair else (timeout, timeout)
        [(_, result)] = self.send_many([(None, bounded)])
        result.request = request
        if isinstance(result, Exception):
            raise result
        return result

    def send_many(
        self,
        pairs: Iterable[tuple[Key, requests.PreparedRequest] | None],
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Iterator[Result]:
        """Send what `pairs` yields, many at a time, and yield each result under its key as soon as it is there.

        `pairs` yields None when it has nothing at the moment; it is asked again while there are free slots, and
        may block only while it knows of nothing in flight. A `Prepared` request may carry bounds of its own.
        `turn`: makes the context in which libcurl is driven, entered anew each time; see `webhooks.turns`.
        """
        source = _Source(pairs)
        fruitless = 0
        try:
            while not source.exhausted or self._in_flight:
                yield from self._take(source)
                with turn():
                    results = [*self._resolved(), *self._performed()]
                yield from results
                may_take_more = source.ready and self._in_flight < self.bounds.concurrency
                fruitless = 0 if results or may_take_more else fruitless + 1
                if fruitless:
                    yield from self._pause(_REST if fruitless > _FRUITLESS_ROUNDS else 0)
        finally:
            self._waiting.clear()
            for transfer in list(self._busy):  # only when the caller left early
                self._release(transfer)

    @property
    def _in_flight(self) -> int:
        return len(self._busy) + len(self._waiting)

    def _take(self, source: _Source) -> Iterator[Result]:
        """Take up to `_MOST_BEGUN` requests while there are free slots; yield those that cannot be sent."""
        for _ in range(_MOST_BEGUN):
            if self._in_flight >= self.bounds.concurrency or not (pair := source.next()):
                break
            try:
                outgoing = outgoing_of(*pair, self.bounds)
            except ValueError:
                yield pair[0], failure("bad_request", pair[1])
                continue
            if kind := refusal_of(outgoing.destination, self.bounds.policy):
                yield outgoing.key, failure(kind, outgoing.request)
            else:
                yield from self._start(outgoing)

    def _start(self, outgoing: Outgoing) -> Iterator[Result]:
        """Send a request if it is known where, else have its name looked up."""
        host = outgoing.destination
        # For the proxy an address is looked up too: that is where it is checked, and the proxy's own name found.
        is_known = host.is_address and self._gateway is None
        answer = NOTHING_TO_RESOLVE if is_known else self._resolver.kept(host.host)
        if answer is None:
            self._waiting.add(outgoing)
        else:
            yield from self._send(outgoing, answer)

    def _resolved(self, patience: float = 0) -> Iterator[Result]:
        """Send the requests whose names are known by now; yield those that cannot be sent."""
        if self._resolver.is_running or self._waiting:
            for outgoing, answer in self._waiting.ready(patience):
                yield from self._send(outgoing, answer)

    def _answer(self, host: str) -> Answer:
        """Look a name up, in a thread of the resolver."""
        gateway = () if self._gateway is None else self._gateway.addresses()
        if self._gateway is not None and not gateway:
            return Answer(error_kind="egress_proxy")
        return replace(answer_of(self._found(host), self.bounds.policy, host), gateway=gateway)

    def _found(self, host: str) -> Any:
        return (self._look_up or socket.getaddrinfo)(host, None, type=socket.SOCK_STREAM)

    def _send(self, outgoing: Outgoing, answer: Answer | None) -> Iterator[Result]:
        """Hand a request to libcurl, or yield why that cannot be; no answer: its time is over."""
        if answer is None or outgoing.until <= time.monotonic():
            is_ours = self._gateway is not None and not self._gateway.is_known
            yield outgoing.key, failure("egress_proxy" if is_ours else "timeout", outgoing.request)
        elif answer.error_kind:
            yield outgoing.key, failure(answer.error_kind, outgoing.request)
        else:
            transfer = self._idle.pop() if self._idle else Transfer(self.bounds)
            try:
                transfer.prepare(outgoing, answer)
            except (pycurl.error, TypeError, ValueError):  # no other request may suffer from it
                transfer.curl.close()
                yield outgoing.key, failure("bad_request", outgoing.request)
            else:
                self._busy.add(transfer)
                self._multi.add_handle(transfer.curl)

    def _performed(self) -> Iterator[Result]:
        """Let libcurl do what it can at once; yield what has ended."""
        while self._multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                yield self._result(curl, None)
            for curl, code, _ in failed:
                if not self._goes_on(curl):
                    yield self._result(curl, code)

    def _goes_on(self, curl: Any) -> bool:
        """Send a request once more, if the egress proxy may reach another address of its receiver."""
        transfer: Transfer = curl.transfer
        if not transfer.has_another_address:
            return False
        self._multi.remove_handle(transfer.curl)
        transfer.take_next_address()
        self._multi.add_handle(transfer.curl)
        return True

    def _result(self, curl: Any, code: int | None) -> Result:
        transfer: Transfer = curl.transfer
        result = transfer.outgoing.key, transfer.result(code)
        self._release(transfer)
        return result

    def _release(self, transfer: Transfer) -> None:
        self._busy.discard(transfer)
        self._multi.remove_handle(transfer.curl)
        self._idle.append(transfer)

    def _pause(self, rest: float) -> Iterator[Result]:
        """Wait a moment for the network or, with nothing on it, for a name. `rest`: seconds that it takes at least."""
        if self._busy:
            if rest:
                time.sleep(rest)
            self._multi.select(_PAUSE - rest)
        elif self._waiting:
            yield from self._resolved(_PAUSE)


class _Source:
    """What is to be sent: an iterator that may have nothing at the moment, and that ends once."""

    def __init__(self, pairs: Iterable[tuple[Key, requests.PreparedRequest] | None]) -> None:
        self._pairs = iter(pairs)
        self.exhausted = False
        self.ready = True
        """When last asked, it had something."""

    def next(self) -> tuple[Key, requests.PreparedRequest] | None:
        """Return the next pair, or None when there is none, at the moment or at all."""
        pair = None
        if not self.exhausted:
            try:
                pair = next(self._pairs)
            except StopIteration:
                self.exhausted = True
        self.ready = pair is not None
        return pair
