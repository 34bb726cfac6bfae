"""CurlAdapter against real sockets that behave and misbehave."""

import gzip
import ipaddress
import threading

import pytest

from webhooks.addresses import AddressPolicy
from webhooks.exceptions import SendError, SendTimeout
from webhooks.transport import CurlAdapter

from .sockets import OK, bounds, drip, keep_alive, once, request, serving, silent


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


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        drip(b"HTTP/1.1 200 ", b"O"),
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"a"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["never-answers", "status-line", "headers", "body", "endless-100"],
)
def test_the_total_timeout_ends_whatever_a_receiver_does(adapter, behave):
    with serving(behave) as server, pytest.raises(SendTimeout) as caught:
        adapter.send(request(server.url))
    assert caught.value.kind == "timeout"


def test_a_receiver_that_never_reads_is_timed_out(adapter):
    with serving(silent) as server, pytest.raises(SendTimeout):
        adapter.send(request(server.url, b"x" * 20_000_000))


def test_an_endless_body_is_cut_at_the_limit_and_still_a_success(adapter):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")

    with serving(behave) as server:
        response = adapter.send(request(server.url))
    assert response.status_code == 200
    assert response.content == b"a" * 1000
    assert response.truncated


def test_a_body_of_exactly_the_limit_is_whole(adapter):
    with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000)) as server:
        response = adapter.send(request(server.url))
    assert len(response.content) == 1000
    assert not response.truncated


def test_nothing_is_decompressed(adapter):
    packed = gzip.compress(b"\x00" * 100_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    with serving(once(answer)) as server:
        assert adapter.send(request(server.url)).content == packed


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["nothing", "short-body", "half-headers", "short-chunk"],
)
def test_an_answer_that_is_not_whole_is_a_reset(adapter, answer):
    with serving(once(answer)) as server, pytest.raises(SendError) as caught:
        adapter.send(request(server.url))
    assert caught.value.kind == "reset"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"]
)
def test_what_is_not_http_is_a_bad_response(adapter, answer):
    with serving(once(answer)) as server, pytest.raises(SendError) as caught:
        adapter.send(request(server.url))
    assert caught.value.kind == "bad_response"


def test_redirects_are_not_followed(adapter):
    with serving(keep_alive) as target:
        location = target.url.encode()
        with serving(
            once(b"HTTP/1.1 307 Go\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")
        ) as server:
            response = adapter.send(request(server.url))
        assert (response.status_code, response.headers["location"]) == (307, target.url)
        assert target.connections == 0


def test_headers_are_kept_up_to_the_limit(adapter):
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(50))
    with serving(once(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")) as server:
        response = adapter.send(request(server.url))
    assert sum(len(name) + len(value) for name, value in response.headers.items()) <= 8192
    assert response.status_code == 200


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


def test_the_environments_proxy_and_netrc_are_ignored(adapter, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(keep_alive) as proxy, serving(keep_alive) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        adapter.send(request(server.url))
        assert proxy.connections == 0
        assert b"uthorization" not in server.received[0][0]


def test_connections_that_the_receiver_closes_silently_do_no_harm(adapter):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(OK)
        connection.close()

    with serving(behave) as server:
        for _ in range(50):
            assert adapter.send(request(server.url)).status_code == 200


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
