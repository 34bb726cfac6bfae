"""A forward proxy on a real socket, which opens tunnels (CONNECT) to servers of the tests' choice, and its client."""

import base64
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
import requests

from webhooks.addresses import AddressPolicy
from webhooks.egress import EgressProxy
from webhooks.exceptions import SendError
from webhooks.transport import Bounds, CurlAdapter

PUBLIC, ANOTHER = "93.184.216.34", "93.184.216.35"
CLOSED = b""


class ConnectProxy:
    """Opens a tunnel to the local port that `routes` has for an authority ("93.184.216.34:443"); 502 without one.

    `answers`: authority → the raw bytes that are sent back in place of a tunnel, empty for a silent close, or
    None for never anything. `credentials`: "user:password" that each CONNECT must bring, else 407.
    """

    def __init__(self, routes=None, *, answers=None, credentials=None):
        self.routes = routes or {}
        self.answers = answers or {}
        self.credentials = credentials
        self.heads = []
        """What each client said before the tunnel stood."""
        self.tunnelled = bytearray()
        """What clients sent through all tunnels."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def asked(self):
        """The request line of each client, in their order."""
        return [head.split("\r\n")[0] for head in self.heads]

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with suppress(OSError):
            while head := self._read_head(client):
                self.heads.append(head)
                answer = self._answer_to(head)
                if answer is None:
                    return
                client.sendall(answer)
                if not answer:
                    client.shutdown(socket.SHUT_RDWR)
                if answer.startswith(b"HTTP/1.1 200"):
                    self._join(client, head.split()[1])
                    return

    def _read_head(self, client):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte:
                return ""
            data += byte
        return data.decode("latin-1")

    def _answer_to(self, head):
        method, authority, _ = head.split("\r\n")[0].split()
        if self.credentials is not None:
            expected = base64.b64encode(self.credentials.encode()).decode()
            if f"proxy-authorization: basic {expected}".lower() not in head.lower():
                return b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
        if authority in self.answers:
            return self.answers[authority]
        if method == "CONNECT" and authority in self.routes:
            return b"HTTP/1.1 200 Connection established\r\nX-Of-Proxy: yes\r\n\r\n"
        return b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n"

    def _join(self, client, authority):
        server = socket.create_connection(("127.0.0.1", self.routes[authority]))
        self.open.append(server)
        threading.Thread(target=self._copy, args=(server, client, bytearray()), daemon=True).start()
        self._copy(client, server, self.tunnelled)

    def _copy(self, source, target, log):
        with suppress(OSError):
            while data := source.recv(65536):
                log += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self):
        for one in self.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def proxying(*args, **options):
    proxy = ConnectProxy(*args, **options)
    try:
        yield proxy
    finally:
        proxy.close()


def rows(*addresses):
    """What `socket.getaddrinfo` answers."""
    return [
        (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0))
        for one in addresses
    ]


def names(**answers):
    """Return a look-up that knows these names, a dot written as an underscore; addresses are themselves."""
    known = {name.replace("_", "."): addresses for name, addresses in answers.items()}
    asked = []

    def look_up(host, port, **options):
        asked.append(host)
        if host[0].isdigit() or ":" in host:
            return rows(host)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return rows(*known[host])

    look_up.asked = asked
    return look_up


@contextmanager
def through(proxy, look_up=None, *, url=None, **changes):
    """Yield an adapter whose egress proxy is `proxy`, or the one of `url`."""
    values = {
        "policy": AddressPolicy(),
        "connect_timeout": 1.5,
        "timeout": 2,
        "body_limit": 1000,
        "headers_limit": 8192,
        "concurrency": 8,
        "proxy": EgressProxy.parse(url or f"http://127.0.0.1:{proxy.port}"),
    }
    adapter = CurlAdapter(Bounds(**{**values, **changes}), look_up=look_up or names(hook_example=[PUBLIC]))
    try:
        yield adapter
    finally:
        adapter.close()


def request(url="http://hook.example/path", **headers):
    headers = {"X-Signature": "5ig", **headers}
    return requests.Request("POST", url, data=b"the body", headers=headers).prepare()


def fault(adapter, url="http://hook.example/path"):
    with pytest.raises(SendError) as caught:
        adapter.send(request(url))
    return caught.value.kind, str(caught.value)
