"""A request is what was built: nothing is followed, remembered or taken from the machine's surroundings."""

from contextlib import closing

import pytest
import requests

from webhooks.transport import CurlAdapter

from .sockets import bounds, keep_alive, once, request, serving


@pytest.fixture
def adapter():
    with closing(CurlAdapter(bounds())) as adapter:
        yield adapter


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(adapter, status):
    with serving(keep_alive) as target:
        answer = b"HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (
            status,
            target.url.encode(),
        )
        with serving(once(answer)) as server:
            response = adapter.send(request(server.url))
        assert (response.status_code, response.headers["location"]) == (status, target.url)
        assert target.connections == 0


def test_cookies_are_not_kept(adapter):
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    with serving(once(cookie)) as server:
        for _ in range(2):
            assert adapter.send(request(server.url)).headers["Set-Cookie"] == "a=b; Path=/"
        assert [b"ookie" in head for head, _ in server.received] == [False, False]


def test_the_environments_proxies_are_ignored(adapter, monkeypatch):
    with serving(keep_alive) as proxy, serving(keep_alive) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert adapter.send(request(server.url)).status_code == 200
        adapter.send(request(server.url), proxies={"http": proxy.url})
        assert proxy.connections == 0
        assert len(server.received) == 2


def test_a_netrc_is_ignored(adapter, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(once(b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")) as server:
        assert adapter.send(request(server.url)).status_code == 401
        assert len(server.received) == 1
        assert b"uthorization" not in server.received[0][0]


def test_nothing_is_asked_for_that_the_request_does_not_ask_for(adapter):
    message = requests.PreparedRequest()
    with serving(keep_alive) as server:
        message.method, message.url, message.body, message.headers = "POST", server.url, b"{}", {}
        adapter.send(message)
        names = {line.split(b":")[0].lower() for line in server.received[0][0].split(b"\r\n")[1:]}
    assert names <= {b"host", b"content-length", b"content-type", b"accept"}
