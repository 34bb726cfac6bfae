"""The demo's receiver: a stranger's server, with a verification of its own.

It knows nothing of the app that sends: standard library only. One line is printed for each request.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

FAILURES_BEFORE_RECOVERY = 2


class Receiver(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], secret: str) -> None:
        super().__init__(address, Handler)
        self.secret = secret
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def status_for(self, path: str, message_id: str) -> int:
        """Return 500 for /fail, for /flaky 500 twice per message and then 200, else 200."""
        if path == "/fail":
            return 500
        if path != "/flaky":
            return 200
        with self.lock:
            self.seen[message_id] += 1
            return 500 if self.seen[message_id] <= FAILURES_BEFORE_RECOVERY else 200

    def signature_state(self, payload: bytes, received: str | None) -> str:
        if not received:
            return "missing"
        expected = hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()
        return "verified" if hmac.compare_digest(expected.encode(), received.encode()) else "invalid"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "GET":
            body = parse_qs(url.query).get("payload", [""])[0].encode()
        status = self.server.status_for(url.path, self.headers.get("webhook-id", ""))
        state = self.server.signature_state(body, self.headers.get("X-Signature"))
        content = b"received\n" if status == 200 else b"not now\n"
        # One write: two small ones would wait for each other's acknowledgement.
        self.wfile.write(
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Internal Server Error'}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        line = (
            f"received {self.command} {url.path} {status} event={self.headers.get('X-Webhook-Event')} "
            f"delivery={self.headers.get('X-Webhook-Delivery')} "
            f"attempt={self.headers.get('X-Webhook-Attempt')} signature={state}"
        )
        sys.stdout.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
        sys.stdout.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Be silent: `answer` prints the line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--secret", default="demo-secret")
    options = parser.parse_args()
    Receiver((options.host, options.port), options.secret).serve_forever()


if __name__ == "__main__":
    main()
