"""Real servers on real sockets that behave, or misbehave, for tests of the network's door."""

import multiprocessing
import socket
import threading
import time
from contextlib import contextmanager, suppress

import requests

from webhooks.addresses import AddressPolicy
from webhooks.prepared import Prepared
from webhooks.transport import Bounds

LOOPBACK = AddressPolicy.parse(["127.0.0.0/8"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def bounds(**changes):
    values = {
        "policy": LOOPBACK,
        "connect_timeout": 1,
        "timeout": 1.5,
        "body_limit": 1000,
        "headers_limit": 8192,
        "concurrency": 64,
    }
    return Bounds(**{**values, **changes})


def request(url, body=b"{}", method="POST", **headers):
    return requests.Request(method, url, data=body, headers=headers).prepare()


def prepared(url, **attributes):
    """Return a request with bounds of its own."""
    plain, result = request(url), Prepared()
    result.__dict__.update(plain.__dict__, **attributes)
    return result


class SocketServer:
    """A TCP server whose every connection is handled by `behave(connection, server)` in a thread."""

    def __init__(self, behave, address="127.0.0.1", port=0):
        self.behave = behave
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family, backlog=512)
        self.port = self.listener.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self.port}/"
        self.received = []
        """Head and body of each request."""
        self.dialled = []
        """The address that each connection was made to."""
        self.open = []
        self.stopping = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self):
        return len(self.dialled)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.dialled.append(connection.getsockname()[0])
            self.open.append(connection)
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection):
        with suppress(OSError), connection:
            self.behave(connection, self)

    def read_request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                raise OSError("closed")
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (
                int(v)
                for k, _, v in (line.partition(b":") for line in head.split(b"\r\n"))
                if k.lower() == b"content-length"
            ),
            0,
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.received.append((head, body))
        return head, body

    def close(self):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # a close alone leaves a thread in accept() listening
        self.listener.close()
        for connection in self.open:
            connection.close()


@contextmanager
def serving(behave, address="127.0.0.1", port=0):
    server = SocketServer(behave, address, port)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def never_accepting():
    """Yield the address and port of a server whose queue is full: it does not answer a new connection at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        held = [socket.socket() for _ in range(4)]
        try:
            for one in held:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()
        finally:
            for one in held:
                one.close()


def keep_alive(connection, server):
    while True:
        server.read_request(connection)
        connection.sendall(OK)


def once(answer):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(answer)
        connection.close()

    return behave


def drip(first, byte, pause=0.05):
    """Send `first`, then `byte` again and again, slowly."""

    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(first)
        while not server.stopping.wait(pause):
            connection.sendall(byte)

    return behave


def flood(first, piece):
    """Send `first`, then `piece` again and again, as fast as it goes."""

    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(first)
        many = piece * (1 + 65536 // len(piece))
        while not server.stopping.is_set():
            connection.sendall(many)

    return behave


def silent(connection, server):
    """Never read, never answer."""
    server.stopping.wait(10)


def answers_late(connection, server):
    server.read_request(connection)
    server.stopping.wait(10)


def reads_slowly(connection, server):
    while not server.stopping.wait(0.05):
        connection.recv(1)


def trickles_a_handshake(connection, server):
    """Send a TLS record byte by byte."""
    connection.recv(65536)
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:
        connection.sendall(bytes([byte]))
        server.stopping.wait(0.05)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Receivers that keep a request until its time is over.
SLOW = {
    "never-reads": silent,
    "never-answers": answers_late,
    "reads-slowly": reads_slowly,
    "status-line": drip(b"HTTP/1.1 200 ", b"O"),
    "header": drip(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"a"),
    "chunks": drip(CHUNKED, b"1\r\na\r\n"),
    "100-continue": drip(b"", CONTINUE),
    "chunk-extension-flood": flood(CHUNKED + b"1;", b"x" * 1000),
}
# Receivers that send without an end, as fast as they can.
FLOODS = {
    "100-continue-flood": flood(b"", CONTINUE),
    "headers-flood": flood(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "large-headers-flood": flood(b"HTTP/1.1 200 OK\r\n", b"a: " + b"b" * 65000 + b"\r\n"),
    "trailers-flood": flood(CHUNKED + b"0\r\n", b"a: b\r\n"),
    "body-flood": flood(CHUNKED, b"1000\r\n" + b"a" * 4096 + b"\r\n"),
    "one-byte-chunks-flood": flood(CHUNKED, b"1\r\na\r\n"),
    "chunk-extension-flood": SLOW["chunk-extension-flood"],
}
BEHAVIOURS = {
    "keep-alive": keep_alive,
    "stalled-tls": silent,
    "trickled-tls": trickles_a_handshake,
    **SLOW,
    **FLOODS,
}


@contextmanager
def serving_apart(*names):
    """Run a server for each of the named behaviours, all in one process of their own; yield their URLs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, names), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(pipe, names):
    servers = [SocketServer(BEHAVIOURS[name]) for name in names]
    pipe.send([server.url for server in servers])
    threading.Event().wait()


def wait_until(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.005)


class Names:
    """A stub of `socket.getaddrinfo`: answers from a table, and counts. Lists are answered one after the other.

    A name whose entry is None never resolves: it is answered when the test is over.
    """

    def __init__(self, **table):
        self.table = {name.replace("_", "."): value for name, value in table.items()}
        self.asked = []
        self.running = 0
        self.most_running = 0
        self.released = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, host, port, *_, **__):
        with self.lock:
            self.asked.append(host)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            return [_row(address) for address in self._addresses(host)]
        finally:
            with self.lock:
                self.running -= 1

    def _addresses(self, host):
        answer = self.table.get(host, ())
        if answer is None:
            self.released.wait(60)
            answer = ()
        if callable(answer):
            answer = answer()
        if isinstance(answer, str):
            answer = [answer]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answer


def _row(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, 0))
