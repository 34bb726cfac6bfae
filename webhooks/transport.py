"""The only door to the network: requests in, responses out, over libcurl's multi interface.

Hundreds of requests are in flight from one thread. Every address is checked when its socket is opened, so
neither DNS nor a redirect can lead anywhere else; total time and size are bounded whatever a receiver does.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pycurl
import requests
from certifi import where as ca_bundle
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from .addresses import AddressPolicy, configured_policy
from .conf import settings
from .exceptions import SendError, SendTimeout

Key = Any

# How long the loop sleeps at most: the other side may have something new.
_PAUSE = 0.01
# A connection is not kept longer than this, so that a change of the address policy takes effect.
_CONNECTION_LIFETIME = 300

_TLS_ERRORS = frozenset((35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98))
_KINDS: Mapping[int, str] = {
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_PARTIAL_FILE: "reset",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_RECV_ERROR: "reset",
    **dict.fromkeys(_TLS_ERRORS, "tls"),
}
# libcurl's own texts name addresses; these do not.
_MESSAGES = {
    "dns": "The host name could not be resolved.",
    "refused_address": "The host name leads to an address that is not public.",
    "connect": "No connection could be opened.",
    "tls": "The TLS handshake failed, or the certificate is not valid for this host.",
    "timeout": "The receiver did not answer in time.",
    "reset": "The connection was closed before the response was complete.",
    "bad_request": "The request could not be sent as it is.",
    "bad_response": "The answer was not a valid HTTP response.",
}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a request may cost, and where it may go."""

    policy: AddressPolicy
    connect_timeout: float
    """Seconds until the connection, TLS included, is open."""
    timeout: float
    """Seconds for the whole request."""
    body_limit: int
    """Bytes of a response's body that are read; the rest is cut off."""
    headers_limit: int
    """Bytes of a response's headers that are kept."""
    concurrency: int
    """Requests in flight at once."""

    @classmethod
    def configured(cls) -> Bounds:
        return cls(
            policy=configured_policy(),
            connect_timeout=settings.CONNECT_TIMEOUT,
            timeout=settings.TIMEOUT,
            body_limit=settings.RESPONSE_BODY_LIMIT,
            headers_limit=settings.RESPONSE_HEADERS_LIMIT,
            concurrency=settings.CONCURRENCY,
        )


class BoundedResponse(requests.Response):
    """A response whose body may have been cut at the limit."""

    truncated: bool = False


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
        self._idle: list[_Transfer] = []
        self._busy: set[_Transfer] = set()

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
        transfer = self._idle.pop() if self._idle else _Transfer(self.bounds)
        try:
            transfer.prepare(key, request)
        except (pycurl.error, TypeError, ValueError):
            transfer.curl.close()
            return SendError("bad_request", _MESSAGES["bad_request"], request=request)
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
                yield self._result(_transfer_of(curl), None)
            for curl, code, _ in failed:
                yield self._result(_transfer_of(curl), code)

    def _result(self, transfer: _Transfer, code: int | None) -> tuple[Key, requests.Response | Exception]:
        result = transfer.result(code)
        key = transfer.key
        self._release(transfer)
        return key, result

    def _release(self, transfer: _Transfer) -> None:
        self._busy.discard(transfer)
        self._multi.remove_handle(transfer.curl)
        self._idle.append(transfer)


class _Transfer:
    """One libcurl handle and what its current response has brought so far."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.curl = cast("Any", pycurl.Curl())  # it takes attributes
        self.curl.transfer = self
        self._set_up()

    def _set_up(self) -> None:
        """Set what is the same for every request."""
        curl = self.curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.CAINFO, ca_bundle())
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self.bounds.connect_timeout * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(self.bounds.timeout * 1000))
        curl.setopt(pycurl.MAXLIFETIME_CONN, _CONNECTION_LIFETIME)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        curl.setopt(pycurl.HEADERFUNCTION, self._header)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def prepare(self, key: Key, request: requests.PreparedRequest) -> None:
        self.key = key
        self.request = request
        self.refused = self.dialled = False
        self.headers: list[str] = []
        self.headers_size = 0
        self.headers_complete = False
        self.body: list[bytes] = []
        self.body_size = 0
        self.truncated = False
        curl = self.curl
        curl.setopt(pycurl.URL, request.url)
        if request.body is None:
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
        # "Expect:" without a value keeps libcurl from asking for 100 Continue; the length is its own to write.
        lines = [f"{name}: {value}" for name, value in request.headers.items() if name != "Content-Length"]
        curl.setopt(pycurl.HTTPHEADER, [*lines, "Expect:"])

    def _open_socket(self, purpose: int, address: Any) -> Any:
        """Open a socket to an address that the policy permits: called at each dial, after any resolution."""
        family, kind, protocol, where = address
        try:
            permitted = self.bounds.policy.permits(ipaddress.ip_address(where[0].partition("%")[0]))
        except ValueError:
            permitted = False
        if not permitted:
            self.refused = True
            return pycurl.SOCKET_BAD
        self.dialled = True
        return _Lent(family, kind, protocol)

    def _header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):  # again after a 1xx
            self.headers = [line.decode("latin-1").strip()]
            self.headers_size = 0
            self.headers_complete = False
        elif line in (b"\r\n", b"\n"):
            self.headers_complete = True
        elif not self.headers_complete:  # else a trailer, which nobody asked for
            self.headers_size += len(line)
            if self.headers_size <= self.bounds.headers_limit:
                self.headers.append(line.decode("latin-1").strip())

    def _write(self, chunk: bytes) -> int | None:
        room = self.bounds.body_limit - self.body_size
        if len(chunk) > room:
            self.body.append(chunk[:room])
            self.body_size += room
            self.truncated = True
            return 0  # fewer than were offered: libcurl ends the transfer
        self.body.append(chunk)
        self.body_size += len(chunk)
        return None

    def result(self, code: int | None) -> requests.Response | Exception:
        """Return the response, or the error that took its place."""
        if code is not None and not (self.truncated and code == pycurl.E_WRITE_ERROR):
            return self._error(code)
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        # libcurl takes an end of the connection inside the headers for a complete response.
        if not self.headers_complete:
            return self._failure("reset")
        if not 200 <= status <= 599:
            return self._failure("bad_response")
        return self._response(status)

    def _error(self, code: int) -> SendError:
        if self.refused and not self.dialled and code != pycurl.E_OPERATION_TIMEDOUT:
            return self._failure("refused_address")
        return self._failure(_KINDS.get(code, "bad_response"))

    def _failure(self, kind: str) -> SendError:
        error = SendTimeout if kind == "timeout" else SendError
        return error(kind, _MESSAGES[kind], request=self.request)

    def _response(self, status: int) -> BoundedResponse:
        response = BoundedResponse()
        response.status_code = status
        response.reason = self.headers[0].partition(" ")[2].partition(" ")[2]
        response.headers = _parsed(self.headers[1:])
        response._content = b"".join(self.body)
        response.truncated = self.truncated
        response.request = self.request
        response.url = self.request.url or ""
        response.elapsed = timedelta(seconds=self.curl.getinfo(pycurl.TOTAL_TIME))
        return response


def _transfer_of(curl: Any) -> _Transfer:
    transfer: _Transfer = curl.transfer
    return transfer


class _Lent(socket.socket):
    """A socket that libcurl duplicates: ours is closed as soon as nobody holds it."""

    def __del__(self) -> None:
        self.close()


def _parsed(lines: Iterable[str]) -> CaseInsensitiveDict[str]:
    """Return header lines by name; the values of a repeated name are joined (RFC 9110 5.3)."""
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            value = value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
