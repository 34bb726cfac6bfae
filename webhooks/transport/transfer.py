"""One libcurl handle: set up once, used for one request after another."""

from __future__ import annotations

import math
import socket
import time
from typing import Any, cast

import pycurl
import requests
from django.views.decorators.debug import sensitive_variables

from ..exceptions import SendError
from .bounds import Bounds
from .failures import failure, kind_of
from .incoming import Incoming
from .names import NOTHING_TO_RESOLVE, Answer, in_brackets, is_permitted, resolve_entry
from .outgoing import Outgoing
from .tls import tls_problem, trusted_file
from .tunnel import fault_of, lead_to, receiver_was_not_reached, use_proxy

# A connection is not kept longer than this, so that a change of the address policy takes effect; seconds.
_CONNECTION_LIFETIME = 300
# What is read at a time; bytes. Small, so that a receiver that floods holds the thread for no more than a moment.
_BUFFER = 4096


class Transfer:
    """One libcurl handle, and the request that it carries at the moment."""

    outgoing: Outgoing
    answer: Answer
    """Where the request may go."""
    refused: bool
    """An address was refused when it was dialled."""
    dialled: bool
    """A socket was opened."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.incoming = Incoming(bounds)
        self._times = (0, 0)
        self._addresses_left: list[str] = []
        self.curl = cast("Any", pycurl.Curl())  # it takes attributes
        self.curl.transfer = self
        self._set_up()

    def _set_up(self) -> None:
        """Set what is the same for every request."""
        curl = self.curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        use_proxy(curl, self.bounds.proxy)
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.USERAGENT, "")  # else pycurl names itself where a request does not
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
        curl.setopt(pycurl.MAXLIFETIME_CONN, _CONNECTION_LIFETIME)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        curl.setopt(pycurl.HEADERFUNCTION, self.incoming.header)
        curl.setopt(pycurl.WRITEFUNCTION, self.incoming.write)
        curl.setopt(pycurl.RESOLVER_START_FUNCTION, self._may_resolve)

    def prepare(self, outgoing: Outgoing, answer: Answer) -> None:
        """Take a request. Raises pycurl.error, TypeError or ValueError when libcurl does not take it.

        `answer`: the addresses that its host name may be dialled at.
        """
        self.outgoing = outgoing
        self.answer = answer
        self._set_request(outgoing.request)
        if self.bounds.proxy is not None:
            self._addresses_left = list(answer.addresses)
            self.take_next_address()
            return
        self._begin()
        if answer is not NOTHING_TO_RESOLVE:
            self.curl.setopt(pycurl.RESOLVE, [resolve_entry(outgoing.destination, answer)])

    def _begin(self) -> None:
        self.refused = self.dialled = False
        self.incoming.begin()
        self._set_time()

    @property
    def has_another_address(self) -> bool:
        """Whether the egress proxy did not reach the receiver at one address and there is time for another."""
        return (
            self.bounds.proxy is not None
            and receiver_was_not_reached(self.curl.getinfo(pycurl.HTTP_CONNECTCODE))
            and bool(self._addresses_left)
            and time.monotonic() < self.outgoing.connect_until
        )

    def take_next_address(self) -> None:
        """Be ready to send the request through the egress proxy, to an address that has not been tried."""
        assert self.bounds.proxy is not None  # noqa: S101
        self._begin()
        lead_to(self.curl, self._addresses_left.pop(0), self.bounds.proxy, self.answer.gateway)

    @sensitive_variables()
    def _set_request(self, request: requests.PreparedRequest) -> None:
        curl = self.curl
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

    def _set_time(self) -> None:
        """Give libcurl what the look-up of the name has left."""
        now = time.monotonic()
        outgoing = self.outgoing
        times = _milliseconds(outgoing.connect_until - now), _milliseconds(outgoing.until - now)
        if times != self._times:  # most are equal
            self._times = times
            self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, times[0])
            self.curl.setopt(pycurl.TIMEOUT_MS, times[1])

    def _may_resolve(self) -> int:
        """Tell libcurl whether it may resolve a host itself: only one written as an address."""
        proxy = self.bounds.proxy
        is_address = self.outgoing.destination.is_address if proxy is None else proxy.address is not None
        return 0 if is_address else 1

    def _open_socket(self, purpose: int, address: Any) -> Any:
        """Open a socket to an address that the policy permits: called at each dial, after any resolution."""
        family, kind, protocol, where = address
        if not self._may_dial(where[0], where[1]):
            self.refused = True
            return pycurl.SOCKET_BAD
        self.dialled = True
        return _Lent(family, kind, protocol)

    def _may_dial(self, address: str, port: int) -> bool:
        """With an egress proxy its own addresses, and no other; what it is asked for has been checked before."""
        if self.bounds.proxy is not None:
            return in_brackets(address) in self.answer.gateway and port == self.bounds.proxy.port
        return is_permitted(address, self.bounds.policy, self.outgoing.destination.host)

    def result(self, code: int | None) -> requests.Response | SendError:
        """Return the response, or the error that took its place; `code`: libcurl's, None for success."""
        request = self.outgoing.request
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        if code is not None and self.bounds.proxy is not None:
            kind, sentence = self._fault_of_tunnel(code)
            if kind:
                return failure(kind, request, sentence)
        if kind := self._failed(code, status):
            return failure(kind, request, self._closer_message(kind, code))
        return self.incoming.response(request, status, self.curl.getinfo(pycurl.TOTAL_TIME))

    def _failed(self, code: int | None, status: int) -> str:
        """Return the kind of error, or an empty string for a response."""
        if self.incoming.invalid:
            return "bad_response"
        if code is not None and not (self.incoming.truncated and code == pycurl.E_WRITE_ERROR):
            refused = self.refused and not self.dialled and code != pycurl.E_OPERATION_TIMEDOUT
            return "refused_address" if refused else kind_of(code)
        # libcurl takes an end of the connection inside the headers for a complete response.
        if not self.incoming.headers_complete:
            return "reset"
        return "" if 200 <= status <= 599 else "bad_response"

    def _fault_of_tunnel(self, code: int) -> tuple[str, str]:
        return fault_of(
            code,
            self.curl.getinfo(pycurl.HTTP_CONNECTCODE),
            dialled=self.dialled,
            reached=self.curl.getinfo(pycurl.CONNECT_TIME) > 0,
        )

    def _closer_message(self, kind: str, code: int | None) -> str | None:
        if kind != "tls" or code is None:
            return None
        return tls_problem(code, self.curl.getinfo(pycurl.SSL_VERIFYRESULT))


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000) if seconds > 0.001 else 1  # 0 would be no limit at all


class _Lent(socket.socket):
    """A socket that libcurl duplicates: ours is closed as soon as nobody holds it."""

    def __del__(self) -> None:
        self.close()
