"""A requests transport adapter over libcurl's multi interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pycurl
import requests
from requests.adapters import BaseAdapter

from ..exceptions import SendError
from .bounds import Bounds
from .failures import failure
from .transfer import Key, Transfer

# How long the loop sleeps at most: the other side may have something new; seconds.
_PAUSE = 0.01


class CurlAdapter(BaseAdapter):
    """A requests transport adapter over libcurl. One thread may drive it at a time, in the process that made it.

    Redirects are not followed, cookies not kept, nothing is decompressed, and neither the environment's proxies
    nor a .netrc is looked at.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        super().__init__()
        self.bounds = bounds or Bounds.configured()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, self.bounds.concurrency)
        self._idle: list[Transfer] = []
        self._busy: set[Transfer] = set()

    def close(self) -> None:
        """Close every connection."""
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

        `timeout`: seconds in all, or (connect, in all); default: the adapter's. Certificates are always
        verified, and no proxy is used, whatever the other arguments say.
        """
        if timeout is not None:
            connect, total = timeout if isinstance(timeout, tuple) else (timeout, timeout)
            adapter = CurlAdapter(replace(self.bounds, connect_timeout=connect, timeout=total))
            try:
                return adapter.send(request)
            finally:
                adapter.close()
        [(_, result)] = self.send_many([(None, request)])
        if isinstance(result, Exception):
            raise result
        return result

    def send_many(
        self, pairs: Iterable[tuple[Key, requests.PreparedRequest] | None]
    ) -> Iterator[tuple[Key, requests.Response | Exception]]:
        """Send what `pairs` yields, many at a time, and yield each result under its key as soon as it is there.

        `pairs` yields None when it has nothing at the moment; it is asked again while there are free slots, and
        may block only while it knows of nothing in flight.
        """
        source = iter(pairs)
        exhausted = False
        try:
            while True:
                while not exhausted and len(self._busy) < self.bounds.concurrency:
                    try:
                        pair = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    if pair is None:
                        break
                    error = self._start(*pair)
                    if error is not None:
                        yield pair[0], error
                if exhausted and not self._busy:
                    return
                self._perform()
                results = list(self._finished())
                yield from results
                if not results:
                    self._multi.select(_PAUSE)
        finally:
            for transfer in list(self._busy):  # only when the caller left early
                self._release(transfer)

    def _start(self, key: Key, request: requests.PreparedRequest) -> SendError | None:
        """Begin to send, or return why libcurl does not take the request: no other one may suffer from it."""
        transfer = self._idle.pop() if self._idle else Transfer(self.bounds)
        try:
            transfer.prepare(key, request)
        except (pycurl.error, TypeError, ValueError):
            transfer.curl.close()
            return failure("bad_request", request)
        self._busy.add(transfer)
        self._multi.add_handle(transfer.curl)
        return None

    def _perform(self) -> None:
        while self._multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass

    def _finished(self) -> Iterator[tuple[Key, requests.Response | Exception]]:
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                yield self._result(curl.transfer, None)
            for curl, code, _ in failed:
                yield self._result(curl.transfer, code)

    def _result(self, transfer: Transfer, code: int | None) -> tuple[Key, requests.Response | Exception]:
        result = transfer.result(code)
        key = transfer.key
        self._release(transfer)
        return key, result

    def _release(self, transfer: Transfer) -> None:
        self._busy.discard(transfer)
        self._multi.remove_handle(transfer.curl)
        self._idle.append(transfer)
