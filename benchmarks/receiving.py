"""A receiver in the benchmark's own process, which sees when each request comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast


@contextmanager
def receiving(answer: Callable[[Mapping[str, str], bytes], int]) -> Iterator[str]:
    """Yield the URL of a server that asks `answer` for the status, given a request's headers and body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = answer(cast("Mapping[str, str]", self.headers), body)
            self.wfile.write(f"HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\n\r\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
