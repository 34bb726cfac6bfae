"""The egress proxy: what it sees and what it is asked for; a real one on a socket, real receivers behind it."""

import logging
import time
from queue import SimpleQueue
from urllib.parse import quote

import pytest

from tests.certificates import Authority, tls_server
from tests.proxies import PUBLIC, fault, names, proxying, request, rows, through
from webhooks.addresses import AddressPolicy
from webhooks.egress import EgressProxy
from webhooks.transport import tunnel
from webhooks.transport.names import Answer
from webhooks.transport.outgoing import outgoing_of
from webhooks.transport.transfer import Transfer
from webhooks.transport.tunnel import Gateway

EVERYTHING = AddressPolicy.parse(["0.0.0.0/0", "::/0"])


def test_plain_http_leaves_in_a_tunnel_to_the_address_that_was_checked(receiver):
    with (
        proxying({f"{PUBLIC}:80": receiver.server.server_port}) as proxy,
        through(proxy) as adapter,
    ):
        response = adapter.send(request())
        assert (response.status_code, response.content) == (200, b"ok")
        assert "X-Of-Proxy" not in response.headers
        assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1"]
        assert receiver.requests[0].headers["Host"] == "hook.example"
        assert receiver.requests[0].body == b"the body"


def test_the_proxy_reads_nothing_of_the_request(receiver):
    with (
        proxying({f"{PUBLIC}:8080": receiver.server.server_port}) as proxy,
        through(proxy) as adapter,
    ):
        adapter.send(request("http://hook.example:8080/path"))
        said = "".join(proxy.heads)
        assert said.startswith(f"CONNECT {PUBLIC}:8080 HTTP/1.1\r\n")
        assert not any(word in said for word in ("5ig", "X-Signature", "body", "/path"))


def test_https_leaves_in_a_tunnel_with_the_name_in_sni_and_host(tmp_path):
    authority = Authority(tmp_path)
    with (
        tls_server(authority.issue("hook.example")) as server,
        proxying({f"{PUBLIC}:443": server.port}) as proxy,
        through(proxy, ca_bundle=str(authority.bundle)) as adapter,
    ):
        for _ in range(2):
            assert adapter.send(request("https://hook.example/path")).status_code == 200
        assert server.names == ["hook.example"]
        assert b"Host: hook.example" in server.requests[0].split(b"\r\n")
        assert proxy.asked == [f"CONNECT {PUBLIC}:443 HTTP/1.1"]  # the tunnel is kept


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "http://127.0.0.1/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[::1]/",
        "http://inside.example/",
        "https://inside.example/",
    ],
)
def test_the_proxy_is_never_asked_for_an_address_that_is_refused(url):
    look_up = names(inside_example=["10.0.0.1", "169.254.169.254", "::1"])
    with proxying() as proxy, through(proxy, look_up) as adapter:
        kind, sentence = fault(adapter, url)
        assert kind == "refused_address"
        assert not any(part in sentence for part in ("10.", "127.", "169.", "::"))
        assert proxy.heads == []


def test_of_several_addresses_only_the_permitted_ones_are_asked_for(receiver):
    look_up = names(hook_example=["10.0.0.1", PUBLIC])
    with (
        proxying({f"{PUBLIC}:80": receiver.server.server_port, "10.0.0.1:80": 9}) as proxy,
        through(proxy, look_up) as adapter,
    ):
        assert adapter.send(request()).status_code == 200
        assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1"]


def test_an_allowed_host_is_asked_for_wherever_it_leads(receiver):
    policy = AddressPolicy.parse(hosts=["*.example"], denied=["10.0.0.1/32"])
    look_up = names(hook_example=["10.0.0.1", "169.254.169.254", "10.0.0.2"])
    with (
        proxying({"10.0.0.2:80": receiver.server.server_port}) as proxy,
        through(proxy, look_up, policy=policy) as adapter,
    ):
        assert adapter.send(request()).status_code == 200
        assert proxy.asked == ["CONNECT 10.0.0.2:80 HTTP/1.1"]


def test_a_proxy_by_name_is_found_by_a_look_up_of_our_own(receiver):
    look_up = names(hook_example=[PUBLIC], proxy_example=["127.0.0.1"])
    with proxying({f"{PUBLIC}:80": receiver.server.server_port}) as proxy:
        url = f"http://proxy.example:{proxy.port}"
        with through(None, look_up, url=url) as adapter:
            for _ in range(3):
                assert adapter.send(request()).status_code == 200
        assert sorted(look_up.asked) == ["hook.example", "proxy.example"]


def test_the_proxys_addresses_are_renewed_while_the_known_ones_serve(monkeypatch):
    monkeypatch.setattr(tunnel, "KEPT", 0)
    answers = SimpleQueue()

    def look_up(host):
        answer = answers.get(timeout=5)
        if isinstance(answer, OSError):
            raise answer
        return answer

    gateway = Gateway(EgressProxy.parse("http://proxy.example:3128"), look_up)
    assert not gateway.is_known
    answers.put(OSError("no answer"))
    assert gateway.addresses() == ()
    answers.put(rows("10.0.0.1"))
    assert gateway.addresses() == ("10.0.0.1",)
    assert gateway.addresses() == ("10.0.0.1",)  # while another look-up waits for its answer
    answers.put(OSError("no answer"))
    assert gateway.addresses() == ("10.0.0.1",)
    answers.put(rows("10.0.0.2", "::1"))
    until = time.monotonic() + 5
    while gateway._addresses != ("10.0.0.2", "[::1]") and time.monotonic() < until:
        time.sleep(0.005)
    assert gateway._addresses == ("10.0.0.2", "[::1]")


def test_the_proxys_own_name_as_a_callback_is_checked_like_any_other():
    look_up = names(proxy_example=["127.0.0.1"])
    with proxying() as proxy:
        url = f"http://proxy.example:{proxy.port}"
        with through(None, look_up, url=url) as adapter:
            assert fault(adapter, url)[0] == "refused_address"
        assert proxy.heads == []


def test_nothing_but_the_proxy_is_dialled_whatever_the_environment_says(receiver, monkeypatch):
    url = f"http://127.0.0.1:{receiver.server.server_port}/"
    authority = f"127.0.0.1:{receiver.server.server_port}"
    with proxying({authority: receiver.server.server_port}) as proxy, proxying() as other:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "*")
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
        with through(proxy, policy=AddressPolicy.parse(["127.0.0.0/8"])) as adapter:
            assert adapter.send(request(url)).status_code == 200
        assert proxy.asked == [f"CONNECT {authority} HTTP/1.1"]
        assert other.heads == []


def test_the_guard_admits_no_address_but_the_proxys():
    look_up = names(hook_example=[PUBLIC], proxy_example=["127.0.0.1"])
    with through(None, look_up, url="http://proxy.example:3128", policy=EVERYTHING) as adapter:
        transfer = Transfer(adapter.bounds)
        transfer.prepare(outgoing_of(1, request(), adapter.bounds), Answer((PUBLIC,), gateway=("127.0.0.1",)))
        assert transfer._may_dial("127.0.0.1", 3128)
        assert not transfer._may_dial("127.0.0.1", 80)
        assert not transfer._may_dial("127.0.0.2", 3128)
        assert not transfer._may_dial(PUBLIC, 80)
        transfer.curl.close()


@pytest.mark.parametrize("password", ["hunter2", "h:u/n@t#e%r", "пароль"])
def test_the_proxys_password_reaches_the_proxy_and_nobody_else(receiver, password, caplog):
    with (
        caplog.at_level(logging.DEBUG),
        proxying({f"{PUBLIC}:80": receiver.server.server_port}, credentials=f"ann:{password}") as proxy,
    ):
        url = f"http://ann:{quote(password, safe='')}@127.0.0.1:{proxy.port}"
        with through(None, url=url) as adapter:
            response = adapter.send(request())
            assert response.status_code == 200
            assert password not in repr(adapter.bounds)
            assert "roxy" not in str(dict(response.request.headers))
        assert len(proxy.heads) == 1
        assert b"roxy" not in bytes(proxy.tunnelled)
        assert "Proxy-Authorization" not in receiver.requests[0].headers
    assert password not in caplog.text


def test_a_custom_header_named_like_the_proxys_does_not_reach_the_proxy(receiver):
    with proxying({f"{PUBLIC}:80": receiver.server.server_port}) as proxy, through(proxy) as adapter:
        adapter.send(request(**{"Proxy-Authorization": "of the receiver"}))
        assert "of the receiver" not in "".join(proxy.heads)


def test_the_policy_of_ports_and_schemes_holds_behind_the_proxy():
    policy = AddressPolicy.parse(ports=[443], https_only=True)
    with proxying() as proxy, through(proxy, policy=policy) as adapter:
        assert fault(adapter, "https://hook.example:22/")[0] == "refused_port"
        assert fault(adapter, "http://hook.example:443/")[0] == "bad_url"
        assert proxy.heads == []


@pytest.mark.parametrize(
    ("url", "host", "port", "username", "password"),
    [
        ("http://proxy.example:3128", "proxy.example", 3128, "", ""),
        ("http://Proxy.Example.:3128/", "proxy.example", 3128, "", ""),
        ("http://ann:p%40%3As@proxy.example:3128", "proxy.example", 3128, "ann", "p@:s"),
        ("http://[FD00::1]:3128", "[fd00::1]", 3128, "", ""),
        ("http://10.1:3128", "10.0.0.1", 3128, "", ""),
    ],
)
def test_the_proxys_url_is_read(url, host, port, username, password):
    proxy = EgressProxy.parse(url)
    assert (proxy.host, proxy.port, proxy.username, proxy.password) == (host, port, username, password)
    assert "p@:s" not in repr(proxy)
    assert {proxy: 1}[EgressProxy.parse(url)] == 1
