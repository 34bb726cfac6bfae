"""CurlAdapter against real sockets that behave and misbehave."""

import ipaddress
import threading

import pytest

from webhooks.addresses import AddressPolicy
from webhooks.exceptions import SendError
from webhooks.transport import CurlAdapter

from .sockets import OK, bounds, keep_alive, once, request, serving


@pytest.fixture
def adapter():
    adapter = CurlAdapter(bounds())
    yield adapter
    adapter.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_exact_bytes_and_headers_are_sent(adapter, method):
    body = "ñ\x00日本".encode()
    with serving(keep_alive) as server:
        response = adapter.send(request(server.url + "a?b=c", body, method, **{"X-Signature": "abc"}))
        head, received = server.received[0]
    assert (response.status_code, response.content, response.reason) == (200, b"ok", "OK")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"{method} /a?b=c HTTP/1.1"
    assert "X-Signature: abc" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert not any(
        line.lower().startswith(("expect", "accept-encoding", "cookie", "authorization")) for line in lines
    )
    assert received == body


def test_get_has_neither_body_nor_content_type(adapter):
    with serving(keep_alive) as server:
        adapter.send(request(server.url, None, "GET"))
        head, body = server.received[0]
    assert head.startswith(b"GET / ")
    assert b"ontent-" not in head
    assert body == b""


def test_one_handle_serves_get_and_post_in_turn(adapter):
    with serving(keep_alive) as server:
        for method in ("POST", "GET", "DELETE", "GET", "POST"):
            adapter.send(request(server.url, None if method == "GET" else b"x", method))
        assert [head.split()[0] for head, _ in server.received] == [
            b"POST",
            b"GET",
            b"DELETE",
            b"GET",
            b"POST",
        ]
        assert [body for _, body in server.received] == [b"x", b"", b"x", b"", b"x"]
        assert server.connections == 1


def test_many_are_in_flight_at_once(adapter):
    together = threading.Barrier(50, timeout=5)

    def behave(connection, server):
        server.read_request(connection)
        together.wait()
        connection.sendall(OK)

    with serving(behave) as server:
        results = dict(adapter.send_many((number, request(server.url)) for number in range(50)))
    assert sorted(results) == list(range(50))
    assert all(result.status_code == 200 for result in results.values())


def test_none_in_the_input_means_nothing_at_the_moment(adapter):
    with serving(keep_alive) as server:
        pairs = [(1, request(server.url)), None, None, (2, request(server.url))]
        assert sorted(key for key, _ in adapter.send_many(pairs)) == [1, 2]


def test_a_refused_address_sees_no_packet():
    adapter = CurlAdapter(bounds(policy=AddressPolicy()))
    try:
        with serving(keep_alive) as server:
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(SendError) as caught:
                    adapter.send(request(f"http://{host}:{server.port}/"))
                assert caught.value.kind == "refused_address"
                assert "127.0.0.1" not in str(caught.value)
            assert server.connections == 0
    finally:
        adapter.close()


def test_each_dial_is_checked_against_the_policy(monkeypatch, adapter):
    asked = []
    permits = AddressPolicy.permits
    monkeypatch.setattr(
        AddressPolicy,
        "permits",
        lambda self, address, host: asked.append(address) or permits(self, address, host),
    )
    with serving(once(OK)) as server:
        for _ in range(3):
            adapter.send(request(server.url))
    assert asked == [ipaddress.ip_address("127.0.0.1")] * 3


def test_nobody_listening_is_a_connect_error(adapter):
    with serving(keep_alive) as server:
        url = server.url
    with pytest.raises(SendError) as caught:
        adapter.send(request(url))
    assert caught.value.kind == "connect"


def test_plain_http_sent_to_a_tls_url_is_a_tls_error(adapter):
    with (
        serving(lambda connection, _: connection.sendall(b"not tls at all")) as server,
        pytest.raises(SendError) as caught,
    ):
        adapter.send(request(f"https://127.0.0.1:{server.port}/"))
    assert caught.value.kind == "tls"


def test_a_request_that_libcurl_refuses_harms_no_other(adapter):
    with serving(keep_alive) as server:
        bad = request(server.url)
        bad.headers = {"X": "日本\x00"}
        bad.body = "日本"
        results = dict(adapter.send_many([(1, bad), (2, request(server.url))]))
    assert isinstance(results[1], SendError)
    assert results[2].status_code == 200
