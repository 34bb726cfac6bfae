"""A receiver that notes every request, and which process sent it."""

import hashlib
import random
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .oracle import Request


class Receiver:
    """`senders()` returns the pids that may have sent; each answer takes a random time between `pauses`, in seconds.

    A path that begins with /flaky fails the first attempt of each tenth delivery.
    """

    def __init__(self, senders, pauses):
        self.senders = senders
        self.pauses = pauses
        self.requests = []
        self._random = random.Random(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.sender = _owner(self.client_address[1], receiver.senders())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._note(self.path, self.headers, body, self.sender)
                time.sleep(receiver._random.uniform(*receiver.pauses))
                self.wfile.write(f"HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\n\r\n".encode())

            def handle(self):
                with suppress(ConnectionError):  # its sender was killed
                    super().handle()

            def finish(self):
                with suppress(ConnectionError):
                    super().finish()

            def log_message(self, *_):
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _note(self, path, headers, body, sender):
        request = Request(
            at=time.monotonic(),
            delivery=int(headers["X-Webhook-Delivery"]),
            attempt=int(headers["X-Webhook-Attempt"]),
            event=headers["webhook-id"],
            digest=hashlib.sha256(body).hexdigest(),
            signature=headers["X-Signature"],
            sender=sender,
        )
        self.requests.append(request)
        fails = path.startswith("/flaky") and request.attempt == 1 and request.delivery % 10 == 0
        return 500 if fails else 200

    def active(self, since):
        """Return the pids that have sent something since this reading of the monotonic clock."""
        recent = set()
        for request in reversed(self.requests):
            if request.at < since:
                break
            recent.add(request.sender)
        return recent - {None}

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


@contextmanager
def receiving(senders, pauses):
    receiver = Receiver(senders, pauses)
    try:
        yield receiver
    finally:
        receiver.close()


def _owner(port, pids):
    """Return which of the processes holds the client's end of a connection from this port of loopback."""
    inode = _inode(port)
    if inode is not None:
        for pid in pids:
            with suppress(OSError):
                if any(_holds(entry, inode) for entry in Path(f"/proc/{pid}/fd").iterdir()):
                    return pid
    return None


def _holds(entry, inode):
    try:
        return str(entry.readlink()) == f"socket:[{inode}]"
    except OSError:
        return False  # closed meanwhile


def _inode(port):
    local = f"0100007F:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[1] == local:
            return columns[9]
    return None
