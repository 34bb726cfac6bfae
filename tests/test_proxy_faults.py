"""Whose fault it is when a request through the egress proxy fails: ours, or the receiver's."""

import socket
import threading
from contextlib import contextmanager

import pytest

from tests.certificates import Authority, tls_server
from tests.factories import make_webhook, make_workspace
from tests.proxies import ANOTHER, CLOSED, PUBLIC, fault, names, proxying, request, rows, through
from tests.timing import ends_after
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt


def test_a_certificate_for_another_name_is_the_receivers_fault(tmp_path):
    authority = Authority(tmp_path)
    with (
        tls_server(authority.issue("other.example")) as server,
        proxying({f"{PUBLIC}:443": server.port}) as proxy,
        through(proxy, ca_bundle=str(authority.bundle)) as adapter,
    ):
        kind, sentence = fault(adapter, "https://hook.example/")
        assert kind == "tls"
        assert "another host name" in sentence


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_address_that_the_proxy_does_not_reach_is_followed_by_the_next_in_the_same_attempt(
    receiver, status
):
    look_up = names(hook_example=["2606:4700::1", ANOTHER, PUBLIC])
    no = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with (
        proxying(
            {f"{PUBLIC}:80": receiver.server.server_port},
            answers={"[2606:4700::1]:80": no, f"{ANOTHER}:80": no},
        ) as proxy,
        through(proxy, look_up) as adapter,
    ):
        assert adapter.send(request()).status_code == 200
        assert [line.split()[1] for line in proxy.asked] == [
            "[2606:4700::1]:80",
            f"{ANOTHER}:80",
            f"{PUBLIC}:80",
        ]
        assert len(receiver.requests) == 1
        assert receiver.requests[0].body == b"the body"


def test_a_receiver_that_the_proxy_does_not_reach_is_the_receivers_fault():
    with proxying() as proxy, through(proxy, names(hook_example=[PUBLIC, ANOTHER])) as adapter:
        assert fault(adapter)[0] == "connect"
        assert len(proxy.asked) == 2


def test_no_other_address_is_tried_when_the_time_is_over():
    look_up = names(hook_example=[PUBLIC, ANOTHER])
    with (
        proxying(answers={f"{PUBLIC}:80": None, f"{ANOTHER}:80": CLOSED}) as proxy,
        through(proxy, look_up) as adapter,
    ):
        kinds = set()
        ends_after(1.5, lambda: kinds.add(fault(adapter)[0]))
        assert kinds == {"timeout"}
        assert {line.split()[1] for line in proxy.asked} == {f"{PUBLIC}:80"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "(403)"),
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n", "(407)"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "(500)"),
        (CLOSED, "could not be reached"),
        (b"not http at all\r\n\r\n", "could not be reached"),
    ],
)
def test_a_proxy_that_refuses_is_our_fault_and_asked_once(answer, words):
    look_up = names(hook_example=[PUBLIC, ANOTHER])
    with proxying(answers={f"{PUBLIC}:80": answer}) as proxy, through(proxy, look_up) as adapter:
        kind, sentence = fault(adapter)
        assert kind == "egress_proxy"
        assert words in sentence
        assert len(proxy.asked) == 1


def test_a_proxy_that_is_not_there_is_our_fault():
    with proxying() as proxy:
        port = proxy.port
    with through(None, url=f"http://127.0.0.1:{port}") as adapter:
        assert fault(adapter)[0] == "egress_proxy"


def test_a_proxy_whose_name_does_not_resolve_is_our_fault():
    with through(None, url="http://proxy.example:3128") as adapter:
        assert fault(adapter)[0] == "egress_proxy"


@contextmanager
def hanging_on(name):
    """Yield a look-up that knows every name but this one, for which it never answers."""
    done = threading.Event()
    threads = []

    def look_up(host, port, **options):
        if host == name:
            threads.append(threading.current_thread())
            done.wait(10)
        return rows(PUBLIC)

    yield look_up
    done.set()
    for thread in threads:
        thread.join()


def test_a_proxy_whose_name_never_resolves_is_our_fault():
    with (
        hanging_on("proxy.example") as look_up,
        through(None, look_up, url="http://proxy.example:3128") as adapter,
    ):
        kinds = set()
        ends_after(1.5, lambda: kinds.add(fault(adapter)[0]))
        assert kinds == {"egress_proxy"}


def test_a_receivers_name_that_never_resolves_is_the_receivers_fault():
    with (
        hanging_on("hook.example") as look_up,
        through(None, look_up, url="http://proxy.example:3128") as adapter,
    ):
        assert fault(adapter)[0] == "timeout"


@pytest.mark.parametrize(
    ("answer", "kind"), [(CLOSED, "reset"), (None, "timeout"), (b"not http at all\r\n\r\n", "bad_response")]
)
def test_what_happens_behind_a_standing_tunnel_is_the_receivers_fault(answer, kind):
    with (
        answering_once(answer) as port,
        proxying({f"{PUBLIC}:80": port}) as proxy,
        through(proxy, timeout=1) as adapter,
    ):
        assert fault(adapter)[0] == kind
        assert len(proxy.asked) == 1


@contextmanager
def answering_once(answer):
    """Yield the port of a receiver that reads one request, answers and closes; None: it does neither."""
    done = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            if answer is None:
                done.wait(10)
            else:
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join()


def test_a_receiver_that_hangs_behind_a_kept_tunnel_is_the_one_that_did_not_answer(receiver):
    done = threading.Event()

    def answer(request):
        if len(receiver.requests) == 2:
            done.wait(10)
        return 200, {}, b"ok"

    receiver.answer = answer
    with (
        proxying({f"{PUBLIC}:80": receiver.server.server_port}) as proxy,
        through(proxy, timeout=1) as adapter,
    ):
        assert adapter.send(request()).status_code == 200
        assert fault(adapter) == ("timeout", "The receiver did not answer in time.")
        assert len(proxy.asked) == 1
    done.set()


def test_a_wrong_password_is_our_fault_and_named_nowhere():
    with proxying({f"{PUBLIC}:80": 9}, credentials="ann:right") as proxy:
        with through(None, url=f"http://ann:hunter2@127.0.0.1:{proxy.port}") as adapter:
            kind, sentence = fault(adapter)
        assert kind == "egress_proxy"
        assert "(407)" in sentence
        assert "hunter2" not in sentence


@pytest.mark.django_db(transaction=True)
def test_a_drain_uses_the_configured_proxy_and_records_its_faults_as_ours(settings):
    workspace = make_workspace()
    make_webhook(workspace, callback_url=f"http://{PUBLIC}/hook")
    answers = {f"{PUBLIC}:80": b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"}
    with proxying(answers=answers) as proxy:
        settings.WEBHOOKS = {
            **settings.WEBHOOKS,
            "EGRESS_PROXY": f"http://ann:hunter2@127.0.0.1:{proxy.port}",
        }
        emit("order.created", workspace=workspace, data={})
        drain(linger=0)
        assert len(proxy.heads) == 1
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_kind) == ("transient", "egress_proxy")
    assert "hunter2" not in str(vars(attempt))
