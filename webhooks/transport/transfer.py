"""One libcurl handle: set up once, used for one request after another."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, cast
from urllib.parse import urlsplit

import pycurl
import requests

from ..exceptions import SendError
from .bounds import Bounds
from .failures import failure, kind_of
from .incoming import Incoming
from .tls import tls_problem, trusted_file

Key = Any

# A connection is not kept longer than this, so that a change of the address policy takes effect; seconds.
_CONNECTION_LIFETIME = 300


class Transfer:
    """One libcurl handle, and the request that it carries at the moment."""

    key: Key
    request: requests.PreparedRequest
    incoming: Incoming
    host: str
    """Where the request goes, as the URL names it."""
    refused: bool
    """An address was refused when it was dialled."""
    dialled: bool
    """A socket was opened."""

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
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self.bounds.connect_timeout * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, int(self.bounds.timeout * 1000))
        curl.setopt(pycurl.MAXLIFETIME_CONN, _CONNECTION_LIFETIME)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)

    def prepare(self, key: Key, request: requests.PreparedRequest) -> None:
        """Take a request. Raises pycurl.error, TypeError or ValueError when libcurl does not take it."""
        self.key = key
        self.request = request
        self.host = urlsplit(request.url or "").hostname or ""
        self.refused = self.dialled = False
        self.incoming = Incoming(self.bounds)
        curl = self.curl
        curl.setopt(pycurl.HEADERFUNCTION, self.incoming.header)
        curl.setopt(pycurl.WRITEFUNCTION, self.incoming.write)
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.CAINFO, trusted_file(self.bounds.ca_bundle))
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
            permitted = self.bounds.policy.permits(ipaddress.ip_address(where[0]), self.host)
        except ValueError:
            permitted = False
        if not permitted:
            self.refused = True
            return pycurl.SOCKET_BAD
        self.dialled = True
        return _Lent(family, kind, protocol)

    def result(self, code: int | None) -> requests.Response | SendError:
        """Return the response, or the error that took its place; `code`: libcurl's, None for success."""
        if code is not None and not (self.incoming.truncated and code == pycurl.E_WRITE_ERROR):
            return self._failure(code)
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        # libcurl takes an end of the connection inside the headers for a complete response.
        if not self.incoming.headers_complete:
            return failure("reset", self.request)
        if not 200 <= status <= 599:
            return failure("bad_response", self.request)
        return self.incoming.response(self.request, status, self.curl.getinfo(pycurl.TOTAL_TIME))

    def _failure(self, code: int) -> SendError:
        if self.refused and not self.dialled and code != pycurl.E_OPERATION_TIMEDOUT:
            return failure("refused_address", self.request)
        kind = kind_of(code)
        message = tls_problem(code, self.curl.getinfo(pycurl.SSL_VERIFYRESULT)) if kind == "tls" else None
        return failure(kind, self.request, message)


class _Lent(socket.socket):
    """A socket that libcurl duplicates: ours is closed as soon as nobody holds it."""

    def __del__(self) -> None:
        self.close()
