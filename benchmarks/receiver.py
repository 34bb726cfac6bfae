"""A light receiver in a process of its own: where there is no nginx, or where answers must come late or never.

    python -m benchmarks.receiver PORT_FILE [DELAY]

It writes its port to PORT_FILE, and answers each request after DELAY seconds; "never" keeps the connection open.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after another."""

    def __init__(self, delay: float | None) -> None:
        self.delay = delay
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self._end_of_request()) is not None:
            del self.received[:end]
            self._answer()

    def _end_of_request(self) -> int | None:
        """Return how many bytes the first request has, or None while it is incomplete."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        headers = bytes(self.received[:end]).lower()
        _, named, rest = headers.partition(b"\r\ncontent-length:")
        length = end + 4 + (int(rest.split(b"\r\n")[0]) if named else 0)
        return length if len(self.received) >= length else None

    def _answer(self) -> None:
        if self.delay == 0:
            self.transport.write(_ANSWER)
        elif self.delay is not None:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, _ANSWER)


async def serve(port_file: Path, delay: float | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(delay), "127.0.0.1", 0, backlog=2048)
    port_file.with_suffix(".new").write_text(str(server.sockets[0].getsockname()[1]))
    port_file.with_suffix(".new").rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    given = sys.argv[2] if len(sys.argv) > 2 else "0"
    asyncio.run(serve(Path(sys.argv[1]), None if given == "never" else float(given)))
