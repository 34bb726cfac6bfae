"""What has arrived of one response, within its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any

import requests
from requests.cookies import RequestsCookieJar

from ..prepared import Headers
from .bounds import Bounds


class BoundedResponse(requests.Response):
    """A response whose body may have been cut at the limit."""

    def __init__(self) -> None:
        # Without super(): a jar for cookies that nobody reads is half of what an empty response costs.
        self._content: Any = False
        self._content_consumed = False
        self._next = None
        self.status_code: Any = None
        self.headers: Any = Headers()
        self.raw: Any = None
        self.url: Any = None
        self.encoding = None
        self.history: list[requests.Response] = []
        self.reason: Any = None
        self.elapsed = timedelta(0)
        self.request: Any = None
        self.truncated = False

    @cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        return RequestsCookieJar()


# What an attempt may bring of header lines, 1xx and trailers included: more is a flood that would keep the
# thread from everybody else's requests.
MAX_HEADER_LINES = 1000
MAX_HEADER_BYTES = 256 * 1024
# Most lines are those of the response before; longer ones, in bytes, are as good as never.
_COMMON = 100


class Incoming:
    """One response as it arrives: libcurl hands over each header line and each piece of the body."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.begin()

    def begin(self) -> None:
        """Be ready for a new response."""
        self.headers: list[bytes] = []
        self.headers_complete = False
        self.body = bytearray()
        self.truncated = False
        self.invalid = False
        self._headers_room = self.bounds.headers_limit
        self._lines_left = MAX_HEADER_LINES
        self._bytes_left = MAX_HEADER_BYTES

    def header(self, line: bytes) -> int | None:
        self._lines_left -= 1
        self._bytes_left -= len(line)
        if self._lines_left < 0 or self._bytes_left < 0:
            return self._refuse()
        if line.startswith(b"HTTP/") and not self.body:  # again after a 1xx; else it is a trailer
            if line[9:12] == b"101":  # to a protocol that nobody asked for
                return self._refuse()
            self.headers = [line[: self.bounds.headers_limit]]
            self._headers_room = self.bounds.headers_limit
            self.headers_complete = False
        elif line in (b"\r\n", b"\n"):
            self.headers_complete = True
        # A trailer is left out, nobody asked for it; so is a line that does not fit, while later ones may.
        elif not self.headers_complete and len(line) <= self._headers_room:
            self._headers_room -= len(line)
            self.headers.append(line)
        return None

    def _refuse(self) -> int:
        """Have libcurl end the transfer: fewer bytes are taken than were offered."""
        self.invalid = True
        return 0

    def write(self, chunk: bytes) -> int | None:
        room = self.bounds.body_limit - len(self.body)
        if len(chunk) > room:
            self.body += chunk[:room]
            self.truncated = True
            return 0  # fewer than were offered: libcurl ends the transfer
        self.body += chunk
        return None

    def response(self, request: requests.PreparedRequest, status: int, seconds: float) -> BoundedResponse:
        """Return what arrived. `seconds`: how long the request took."""
        response = BoundedResponse()
        response.status_code = status
        response.reason = _text(self.headers[0]).partition(" ")[2].partition(" ")[2]
        response.headers = _parsed(self.headers[1:])
        response._content = bytes(self.body)
        response.truncated = self.truncated
        response.request = request
        response.url = request.url or ""
        response.elapsed = timedelta(seconds=seconds)
        return response


def _text(line: bytes) -> str:
    return line.decode("latin-1").strip()


def _parsed(lines: Iterable[bytes]) -> Headers:
    """Return header lines by name; the values of a repeated name are joined."""
    headers = Headers()
    for line in lines:
        field = _common_field(line) if len(line) <= _COMMON else _field(line)
        if field is not None:
            headers.join(*field)
    return headers


def _field(line: bytes) -> tuple[str, str] | None:
    name, colon, value = _text(line).partition(":")
    return (name, value.strip()) if colon else None


_common_field = lru_cache(maxsize=1024)(_field)
