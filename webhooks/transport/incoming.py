"""What has arrived of one response, within its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import requests
from requests.structures import CaseInsensitiveDict

from .bounds import Bounds


class BoundedResponse(requests.Response):
    """A response whose body may have been cut at the limit."""

    truncated: bool = False


class Incoming:
    """One response as it arrives: libcurl hands over each header line and each piece of the body."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.headers: list[str] = []
        self.headers_size = 0
        self.headers_complete = False
        self.body = bytearray()
        self.truncated = False

    def header(self, line: bytes) -> None:
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
        response.reason = self.headers[0].partition(" ")[2].partition(" ")[2]
        response.headers = _parsed(self.headers[1:])
        response._content = bytes(self.body)
        response.truncated = self.truncated
        response.request = request
        response.url = request.url or ""
        response.elapsed = timedelta(seconds=seconds)
        return response


def _parsed(lines: Iterable[str]) -> CaseInsensitiveDict[str]:
    """Return header lines by name; the values of a repeated name are joined (RFC 9110 5.3)."""
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            value = value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
