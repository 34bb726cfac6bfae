"""Whatever a receiver does: an attempt ends in time, stays small, and is judged right."""

import gzip
import os
import socket
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from webhooks.exceptions import SendError, SendTimeout
from webhooks.transport import CurlAdapter
from webhooks.transport.incoming import MAX_HEADER_BYTES, MAX_HEADER_LINES

from .sockets import (
    CHUNKED,
    CONTINUE,
    FLOODS,
    OK,
    SLOW,
    bounds,
    once,
    prepared,
    request,
    serving,
    serving_apart,
    silent,
    trickles_a_handshake,
)
from .timing import at_some_try, ends_after

END = b"Content-Length: 0\r\n\r\n"


@pytest.fixture
def adapter():
    with closing(CurlAdapter(bounds())) as adapter:
        yield adapter


def answered(adapter, answer):
    """Return the response, or the error, that a receiver's answer comes to."""
    with serving(once(answer)) as server:
        try:
            return adapter.send(request(server.url))
        except SendError as error:
            return error


def times_out(adapter, message, **options):
    with pytest.raises(SendTimeout) as caught:
        adapter.send(message, **options)
    assert caught.value.kind == "timeout"
    assert caught.value.request is message


@pytest.mark.parametrize("behave", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("body", [b"{}", b"x" * 20_000_000], ids=["small", "large"])
def test_an_attempt_ends_at_its_timeout(adapter, behave, body):
    message = prepared("http://x.test/", timeout=0.6, body=body)
    message.headers["Content-Length"] = str(len(body))
    with serving(behave) as server:
        message.url = server.url
        ends_after(0.6, lambda: times_out(adapter, message))


@pytest.mark.parametrize("behave", [silent, trickles_a_handshake], ids=["silent", "trickling"])
def test_a_stalled_tls_handshake_ends_at_the_connect_timeout(adapter, behave):
    with serving(behave) as server:
        message = prepared(f"https://127.0.0.1:{server.port}/", connect_timeout=0.5)
        ends_after(0.5, lambda: times_out(adapter, message))


def test_all_slow_receivers_together_end_in_time_and_a_good_one_is_not_delayed(adapter):
    def all_end_in_time(slow, good):
        pairs = [(index, prepared(url, timeout=1)) for index, url in enumerate(slow)]
        started = time.monotonic()
        ended = [
            (key, result, time.monotonic() - started)
            for key, result in adapter.send_many([*pairs, ("good", request(good))])
        ]
        assert len(ended) == len(slow) + 1
        assert {result.kind for key, result, _ in ended if key != "good"} == {"timeout"}
        first, result, seconds = ended[0]
        assert (first, result.status_code) == ("good", 200)
        assert seconds < 0.3
        assert ended[-1][2] < 1.2

    with serving_apart(*SLOW, *SLOW, *SLOW, *SLOW, "keep-alive") as [*slow, good]:
        at_some_try(lambda: all_end_in_time(slow, good))


@pytest.mark.parametrize(
    ("own", "expected"),
    [({"timeout": 0.3}, 0.3), ({"timeout": 60}, 0.8), ({"timeout": None}, 0.8), ({"timeout": 0}, 0)],
)
def test_a_requests_own_timeout_counts_but_never_above_the_adapters(own, expected):
    with serving(silent) as server, closing(CurlAdapter(bounds(timeout=0.8))) as adapter:
        ends_after(expected, lambda: times_out(adapter, prepared(server.url, **own)))


def test_one_requests_bounds_are_not_the_next_ones(adapter):
    with serving(silent) as server:
        for timeout in (0.2, 0.6, 0.2):
            message = prepared(server.url, timeout=timeout)
            ends_after(timeout, lambda message=message: times_out(adapter, message))


@pytest.mark.parametrize("timeout", [0.3, (0.9, 0.3)])
def test_send_takes_a_timeout_as_requests_does(adapter, timeout):
    with serving(silent) as server:
        message = request(server.url)
        ends_after(0.3, lambda: times_out(adapter, message, timeout=timeout))


def memory():
    """Return the process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_endless_body_is_cut_at_the_limit_and_still_a_success():
    # The receiver is apart, so that its memory is not counted.
    with (
        serving_apart("body-flood") as [url],
        closing(CurlAdapter(bounds(body_limit=65536))) as adapter,
    ):
        adapter.send(request(url))
        before = memory()
        for _ in range(20):
            response = adapter.send(request(url))
            assert (response.status_code, response.truncated) == (200, True)
            assert response.content == b"a" * 65536
    assert memory() - before < 5_000_000


def test_a_body_of_exactly_the_limit_is_whole(adapter):
    response = answered(adapter, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000)
    assert len(response.content) == 1000
    assert not response.truncated


def test_nothing_is_decompressed(adapter):
    packed = gzip.compress(b"\x00" * 100_000_000, 9)[:900]
    headers = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    before = memory()
    assert answered(adapter, headers + packed).content == packed
    assert memory() - before < 5_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nX-A: b",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CONTINUE,
    ],
    ids=[
        *("nothing", "short-body", "half-status", "half-header", "half-headers"),
        *("short-chunk", "no-last-chunk", "only-100"),
    ],
)
def test_an_answer_that_is_not_whole_is_a_reset(adapter, answer):
    assert answered(adapter, answer).kind == "reset"


def test_a_connection_that_is_reset_in_the_body_is_a_reset(adapter):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nab")
        connection.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER of 0 s: RST
        connection.close()

    with serving(behave) as server, pytest.raises(SendError) as caught:
        adapter.send(request(server.url))
    assert caught.value.kind == "reset"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 999 What\r\n" + END,
        b"HTTP/1.1 600 What\r\n" + END,
        b"HTTP/1.1 000 What\r\n" + END,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"<html>HTTP/0.9</html>",
    ],
)
def test_what_is_no_response_to_a_request_is_a_bad_response(adapter, answer):
    assert answered(adapter, answer).kind == "bad_response"


@pytest.mark.parametrize("status", [200, 204, 299, 300, 410, 429, 500, 599])
def test_any_final_status_is_a_response(adapter, status):
    assert answered(adapter, b"HTTP/1.1 %d Answer\r\n" % status + END).status_code == status


def stored(response):
    return sum(len(name) + len(value) for name, value in response.headers.items())


def test_a_header_that_does_not_fit_is_left_out_and_later_ones_are_kept(adapter):
    lines = b"X-Small: a\r\nX-Large: " + b"v" * 65536 + b"\r\nX-Last: z\r\n"
    response = answered(adapter, b"HTTP/1.1 200 OK\r\n" + lines + END)
    assert dict(response.headers) == {"X-Small": "a", "X-Last": "z", "Content-Length": "0"}


def test_headers_are_kept_up_to_the_limit(adapter):
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(50))
    response = answered(adapter, b"HTTP/1.1 200 OK\r\n" + lines + END)
    assert 7000 < stored(response) <= 8192
    assert response.headers["Content-Length"] == "0"


def test_a_hundred_and_one_headers_are_all_kept(adapter):
    lines = b"".join(b"X-%d: v\r\n" % number for number in range(100))
    assert len(answered(adapter, b"HTTP/1.1 200 OK\r\n" + lines + END).headers) == 101


def test_a_reason_longer_than_the_limit_is_cut(adapter):
    response = answered(adapter, b"HTTP/1.1 200 " + b"O" * 60_000 + b"\r\n" + END)
    assert (response.status_code, len(response.reason)) == (200, 8192 - len("HTTP/1.1 200 "))


@pytest.mark.parametrize(
    "lines",
    [
        (b"X: " + b"v" * 65536 + b"\r\n") * 90,
        b"X: v\r\n" * (MAX_HEADER_LINES + 1),
        b"X: " + b"v" * MAX_HEADER_BYTES + b"\r\n",
    ],
    ids=["90-of-65-KB", "too-many", "one-too-long"],
)
def test_too_many_headers_are_a_bad_response(adapter, lines):
    assert answered(adapter, b"HTTP/1.1 200 OK\r\n" + lines + END).kind == "bad_response"


def test_as_many_header_lines_as_are_read_are_a_response(adapter):
    lines = b"X: v\r\n" * (MAX_HEADER_LINES - 3)  # beside the status line, the length and the empty line
    assert answered(adapter, b"HTTP/1.1 200 OK\r\n" + lines + END).status_code == 200


def test_an_early_hint_is_no_part_of_the_response(adapter):
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    response = answered(adapter, CONTINUE + hint + b"HTTP/1.1 201 Made\r\nX-A: b\r\n" + END)
    assert (response.status_code, response.reason) == (201, "Made")
    assert dict(response.headers) == {"X-A": "b", "Content-Length": "0"}


def test_a_trailer_is_left_out_whatever_it_looks_like(adapter):
    answer = CHUNKED + b"2\r\nok\r\n0\r\nHTTP/1.1: 500 Trailer\r\nX-Trailer: a\r\n\r\n"
    response = answered(adapter, answer)
    assert (response.status_code, response.reason, response.content) == (200, "OK", b"ok")
    assert dict(response.headers) == {"Transfer-Encoding": "chunked"}


def test_a_body_that_is_not_utf_8_arrives_byte_by_byte(adapter):
    body = bytes(range(256))
    answer = b"HTTP/1.1 200 \xff\xfe\r\nX-A: \xe9\x80\r\nContent-Length: 256\r\n\r\n" + body
    response = answered(adapter, answer)
    assert response.content == body
    assert (response.reason, response.headers["X-A"]) == ("ÿþ", "é\x80")


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_does_not_hold_the_thread(name):
    with serving_apart(name) as [url], closing(CurlAdapter(bounds(timeout=1, body_limit=65536))) as adapter:
        assert longest_turn(adapter, [request(url)] * 5) < 0.1


def test_a_flood_does_not_take_the_whole_processor():
    with serving_apart("chunk-extension-flood") as [url], closing(CurlAdapter(bounds(timeout=1))) as adapter:
        started = time.thread_time()
        with pytest.raises(SendTimeout):
            adapter.send(request(url))
        assert time.thread_time() - started < 0.2


def longest_turn(adapter, messages):
    """Send the messages; return the most seconds of work between two looks at the source."""
    results, looks = [], []

    def pairs():
        yield from enumerate(messages)
        while len(results) < len(messages):
            looks.append(time.thread_time())
            yield None

    for _, result in adapter.send_many(pairs()):
        results.append(result)
    return max(later - earlier for earlier, later in pairwise(looks))


def test_kept_alive_connections_that_the_receiver_closes_silently_do_no_harm(adapter):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(OK)
        connection.close()

    with serving(behave) as server:
        for _ in range(200):
            assert adapter.send(request(server.url)).status_code == 200
        assert server.connections == 200


def test_a_kept_alive_connection_that_is_closed_on_the_next_request_does_no_harm(adapter):
    def behave(connection, server):
        server.read_request(connection)
        connection.sendall(OK)
        connection.recv(1, socket.MSG_PEEK)  # the next request is on its way when the connection closes

    with serving(behave) as server:
        for number in range(200):
            assert adapter.send(request(server.url)).status_code == 200
            assert server.connections == number + 1
