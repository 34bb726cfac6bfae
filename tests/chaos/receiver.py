"""A receiver that notes every request, and which process sent it."""

import hashlib
import random
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .oracle import Request

# linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = 16
_INODE_AT = 68


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
                self.sender = _owner(self.client_address, receiver._server.server_address, receiver.senders())

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


def _owner(client, server, pids):
    """Return which of the processes holds the client's end of a connection between these addresses."""
    inode = _inode(client, server)
    for pid in pids if inode else ():
        with suppress(OSError):
            if any(_holds(entry, inode) for entry in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    return None


def _holds(entry, inode):
    try:
        return str(entry.readlink()) == f"socket:[{inode}]"
    except OSError:
        return False  # closed meanwhile


def _inode(local, remote):
    """Return the inode of a TCP socket by its addresses, or 0: sock_diag(7). /proc/net/tcp takes 20 ms to read."""
    any_cookie, every_state = 2**64 - 1, 2**32 - 1
    ports = struct.pack("!HH", local[1], remote[1])
    addresses = b"".join(socket.inet_aton(host).ljust(16, b"\0") for host, _ in (local, remote))
    request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, every_state)
    request += ports + addresses + struct.pack("=IQ", 0, any_cookie)
    header = struct.pack("=IHHII", _HEADER + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.sendto(header + request, (0, 0))
        answer = kernel.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] != _SOCK_DIAG_BY_FAMILY:
        return 0  # an error: there is no such socket any more
    return struct.unpack_from("=I", answer, _HEADER + _INODE_AT)[0]
