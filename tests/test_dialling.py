"""From a host name to the address that is dialled, on real sockets; names are answered by a stub."""

import statistics
import time
from contextlib import closing

import pytest

from webhooks.addresses import METADATA, AddressPolicy
from webhooks.exceptions import SendError, SendTimeout
from webhooks.transport import CurlAdapter
from webhooks.transport import resolver as resolver_module
from webhooks.transport.names import NOTHING_TO_RESOLVE, Answer

from .sockets import (
    OK,
    Names,
    bounds,
    keep_alive,
    never_accepting,
    once,
    prepared,
    request,
    serving,
    silent,
    wait_until,
)
from .timing import at_some_try, ends_after

PUBLIC = AddressPolicy()
EVERYTHING = AddressPolicy.parse(["0.0.0.0/0", "::/0"])
PUBLIC_ADDRESS = "93.184.216.34"

DENIED = [
    *(
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "0.0.0.0",
        "0.1.2.3",
    ),
    *("100.64.0.1", "169.254.1.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "239.1.1.1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1"),
    *("::1", "::", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "fe80::1", "fc00::1", "fd00::1"),
    *("fec0::1", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1", "ff02::1"),
]
OTHER_FORMS = ["2130706433", "0177.0.0.1", "0x7f000001", "127.1", "127.0.0.1."]


def url_of(address, port):
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def adapter_with(names, **changes):
    return closing(CurlAdapter(bounds(**changes), look_up=names))


def times_out(adapter, message):
    with pytest.raises(SendTimeout) as caught:
        adapter.send(message)
    assert caught.value.kind == "timeout"


def error_of(adapter, message):
    with pytest.raises(SendError) as caught:
        adapter.send(message)
    return caught.value


def test_a_name_is_dialled_at_its_answer_and_stands_in_the_host_header():
    names = Names(hook_test="127.0.0.1")
    with serving(keep_alive) as server, adapter_with(names) as adapter:
        response = adapter.send(request(f"http://hook.test:{server.port}/"))
        assert response.status_code == 200
        assert f"Host: hook.test:{server.port}".encode() in server.received[0][0]
    assert names.asked == ["hook.test"]


def test_an_address_needs_no_look_up():
    names = Names()
    with serving(keep_alive) as server, adapter_with(names) as adapter:
        assert adapter.send(request(server.url)).status_code == 200
    assert names.asked == []


def test_libcurl_itself_resolves_no_name():
    # "localhost" would resolve without any network; the answer that counts is ours alone.
    with serving(keep_alive, "127.0.0.2") as server, adapter_with(Names(localhost="127.0.0.2")) as adapter:
        adapter.send(request(f"http://localhost:{server.port}/"))
        adapter._resolver.kept = lambda host: NOTHING_TO_RESOLVE
        assert error_of(adapter, request(f"http://localhost:{server.port + 1}/")).kind == "dns"


def test_a_name_without_addresses_is_a_dns_error():
    with adapter_with(Names()) as adapter:
        assert error_of(adapter, request("http://nowhere.test/")).kind == "dns"


@pytest.mark.parametrize("addresses", [["127.0.0.9", "127.0.0.1"], ["127.0.0.1", "127.0.0.9"]])
def test_one_dead_address_of_two_does_no_harm(addresses):
    with serving(keep_alive) as server, adapter_with(Names(two_test=addresses)) as adapter:
        assert adapter.send(request(f"http://two.test:{server.port}/")).status_code == 200


def test_an_address_that_does_not_answer_at_all_is_followed_by_the_next():
    with (
        never_accepting() as (_, port),
        serving(keep_alive, "127.0.0.2", port) as server,
        adapter_with(Names(two_test=["127.0.0.1", "127.0.0.2"])) as adapter,
    ):
        assert adapter.send(request(f"http://two.test:{port}/")).status_code == 200
        assert server.dialled == ["127.0.0.2"]


def test_of_a_public_and_a_private_address_only_the_public_one_is_dialled(network):
    names = Names(mixed_test=["10.0.0.1", PUBLIC_ADDRESS, "::1", "192.168.0.1"])
    with serving(once(OK), "0.0.0.0") as server, adapter_with(names, policy=PUBLIC) as adapter:
        for _ in range(3):
            assert adapter.send(request(f"http://mixed.test:{server.port}/")).status_code == 200
    assert server.dialled == [PUBLIC_ADDRESS] * 3


def test_ipv6_is_dialled(network):
    names = Names(six_test="2606:2800::1")
    with serving(keep_alive, "2606:2800::1") as server, adapter_with(names, policy=PUBLIC) as adapter:
        assert adapter.send(request(f"http://six.test:{server.port}/")).status_code == 200
        assert adapter.send(request(server.url)).status_code == 200


@pytest.mark.parametrize("address", DENIED)
def test_no_packet_goes_to_a_denied_address(network, address):
    with (
        serving(keep_alive, "0.0.0.0") as server,
        adapter_with(Names(bad_test=address), policy=PUBLIC) as adapter,
    ):
        before = network.packets()
        for url in (url_of(address, server.port), f"http://bad.test:{server.port}/"):
            error = error_of(adapter, request(url))
            assert error.kind == "refused_address"
            assert address not in str(error)
        assert network.packets() == before
        adapter.send(request(url_of(PUBLIC_ADDRESS, server.port)))  # the counter does count
        assert network.packets() > before
    assert server.dialled == [PUBLIC_ADDRESS]


@pytest.mark.parametrize("host", OTHER_FORMS)
def test_no_packet_goes_to_a_denied_address_in_another_form(network, host):
    with serving(keep_alive, "0.0.0.0") as server, adapter_with(Names(), policy=PUBLIC) as adapter:
        before = network.packets()
        error_of(adapter, request(f"http://{host}:{server.port}/"))
        assert network.packets() == before


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_no_packet_goes_to_a_clouds_metadata_whatever_is_allowed(network, address):
    with (
        serving(keep_alive, "0.0.0.0") as server,
        adapter_with(Names(bad_test=address), policy=EVERYTHING) as adapter,
    ):
        before = network.packets()
        for url in (url_of(address, server.port), f"http://bad.test:{server.port}/"):
            assert error_of(adapter, request(url)).kind == "refused_address"
        assert network.packets() == before


def test_the_dial_is_checked_even_when_an_answer_was_not():
    with serving(keep_alive) as server, adapter_with(Names(), policy=PUBLIC) as adapter:
        adapter._resolver.kept = lambda host: Answer(("127.0.0.1",))
        assert error_of(adapter, request(f"http://hook.test:{server.port}/")).kind == "refused_address"
        assert server.connections == 0


def test_a_name_that_changes_its_answer_is_looked_up_once_for_a_connection(network, monkeypatch):
    monkeypatch.setattr(resolver_module, "KEPT", 0)
    answers = iter([PUBLIC_ADDRESS, "127.0.0.1", "127.0.0.1"])
    names = Names(rebinding_test=lambda: next(answers))
    with serving(once(OK), "0.0.0.0") as server, adapter_with(names, policy=PUBLIC) as adapter:
        message = request(f"http://rebinding.test:{server.port}/")
        assert adapter.send(message).status_code == 200
        assert len(names.asked) == 1
        assert error_of(adapter, message).kind == "refused_address"
        assert len(names.asked) == 2
    assert server.dialled == [PUBLIC_ADDRESS]


def test_a_new_answer_takes_the_place_of_the_old_one(monkeypatch):
    monkeypatch.setattr(resolver_module, "KEPT", 0)
    answers = iter(["127.0.0.2", "127.0.0.3"])
    names = Names(moved_test=lambda: next(answers))
    with serving(once(OK), "0.0.0.0") as server, adapter_with(names) as adapter:
        for _ in range(2):
            adapter.send(request(f"http://moved.test:{server.port}/"))
    assert server.dialled == ["127.0.0.2", "127.0.0.3"]


def test_many_requests_to_one_name_share_a_look_up():
    names = Names(hook_test="127.0.0.1")
    with serving(keep_alive) as server, adapter_with(names) as adapter:
        url = f"http://hook.test:{server.port}/"
        results = dict(adapter.send_many((number, request(url)) for number in range(300)))
    assert [result.status_code for result in results.values()] == [200] * 300
    assert names.asked == ["hook.test"]


@pytest.fixture
def hanging():
    """Names that never resolve, but for "good.test"."""
    names = Names(good_test="127.0.0.1", **{f"hang{number}_test": None for number in range(100)})
    yield names
    names.released.set()


def test_a_look_up_is_ended_by_the_connect_timeout(hanging):
    with adapter_with(hanging, connect_timeout=0.4, timeout=3) as adapter:
        ends_after(0.4, lambda: times_out(adapter, request("http://hang1.test/")))


@pytest.mark.parametrize(("own", "expected"), [({"connect_timeout": 0.2}, 0.2), ({"timeout": 0.3}, 0.3)])
def test_a_look_up_is_ended_by_the_requests_own_bounds(hanging, own, expected):
    with adapter_with(hanging, connect_timeout=1, timeout=3) as adapter:
        ends_after(expected, lambda: times_out(adapter, prepared("http://hang1.test/", **own)))


def test_the_time_of_the_look_up_counts(monkeypatch):
    monkeypatch.setattr(resolver_module, "KEPT", 0)
    slow = Names(slow_test=lambda: time.sleep(0.5) or "127.0.0.1")
    with serving(silent) as server, adapter_with(slow, timeout=0.9) as adapter:
        ends_after(0.9, lambda: times_out(adapter, request(f"http://slow.test:{server.port}/")))
        assert server.connections >= 1


def test_the_time_of_the_look_up_counts_for_the_connection(monkeypatch):
    monkeypatch.setattr(resolver_module, "KEPT", 0)
    slow = Names(slow_test=lambda: time.sleep(0.5) or "127.0.0.1")
    with serving(silent) as server, adapter_with(slow, connect_timeout=0.8, timeout=9) as adapter:
        message = request(f"https://slow.test:{server.port}/")  # stalls in TLS
        ends_after(0.8, lambda: times_out(adapter, message))


def test_more_names_than_ever_run_at_once_all_end_in_time(hanging):
    def all_end():
        messages = [(number, prepared(f"http://hang{number}.test/")) for number in range(100)]
        assert [result.kind for _, result in adapter.send_many(messages)] == ["timeout"] * 100

    with adapter_with(hanging, connect_timeout=0.5, concurrency=200) as adapter:
        ends_after(0.5, all_end)
    assert hanging.most_running <= 4


def test_a_name_whose_requests_have_ended_is_not_looked_up_any_more(hanging):
    ended = []

    def pairs():
        yield from ((number, prepared(f"http://hang{number}.test/")) for number in range(20))
        while len(ended) < 20:
            yield None
        hanging.released.set()
        wait_until(lambda: not hanging.running)
        yield "good", request(f"http://good.test:{server.port}/")

    with serving(keep_alive) as server, adapter_with(hanging, connect_timeout=0.2) as adapter:
        for key, _ in adapter.send_many(pairs()):
            ended.append(key)
    assert ended[-1] == "good"
    assert len(hanging.asked) == 3 + 1


def durations_beside(adapter, url, others):
    """Send to `url` one request after another while `others` are in flight; return how long each took."""
    durations, started = [], {}

    def pairs():
        yield from ((("other", number), other) for number, other in enumerate(others))
        for number in range(200):
            started[number] = time.monotonic()
            yield number, prepared(url, neighbours="healthy")
            while number in started:
                yield None

    for key, result in adapter.send_many(pairs()):
        if key in started:
            assert result.status_code == 200
            durations.append(time.monotonic() - started.pop(key))
    return durations


def p99(durations):
    return statistics.quantiles(durations, n=100)[98]


@pytest.mark.parametrize("neighbours", ["healthy", "others"], ids=["same-workspace", "another-workspace"])
def test_fifty_names_that_never_resolve_slow_nobody_down(hanging, neighbours, monkeypatch):
    monkeypatch.setattr(resolver_module, "KEPT", 0)  # each send needs a look-up of its own
    others = [prepared(f"http://hang{number}.test/", neighbours=neighbours) for number in range(50)]

    def slow_nobody_down():
        with adapter_with(hanging, concurrency=200, connect_timeout=2) as adapter:
            idle = durations_beside(adapter, url, [])
            beside = durations_beside(adapter, url, others)
        assert len(idle) == len(beside) == 200
        assert p99(beside) < p99(idle) + 0.05
        assert max(beside) < 1  # no send, not even the first one, waits until the others' time is over

    with serving(keep_alive) as server:
        url = f"http://good.test:{server.port}/"
        at_some_try(slow_nobody_down)


def test_an_adapter_is_of_use_after_its_caller_left_in_the_middle_of_a_look_up(hanging):
    with serving(keep_alive) as server, adapter_with(hanging) as adapter:
        good = request(f"http://good.test:{server.port}/")
        pairs = [(1, request("http://hang1.test/")), (2, good)]
        for key, _ in adapter.send_many(pairs):
            assert key == 2
            break
        assert [key for key, _ in adapter.send_many([(3, good)])] == [3]
