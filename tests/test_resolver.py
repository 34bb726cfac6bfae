"""The pool of name look-ups: how many run at once, whose turn it is, and what is kept."""

import threading
import time

import pytest

from webhooks.transport import resolver as module
from webhooks.transport.names import UNRESOLVED, Answer
from webhooks.transport.resolver import PER_GROUP, UNPROVEN_PER_GROUP, Resolver

from .sockets import wait_until

FOUND = Answer(("192.0.2.1",))


class LookUps:
    """Look-ups that wait until the test ends them, but for names that begin with "good"."""

    def __init__(self):
        self.started = []
        self.ends = {}
        self.lock = threading.Lock()

    def __call__(self, host):
        with self.lock:
            self.started.append(host)
            end = self.ends.setdefault(host, threading.Event())
        if not host.startswith("good"):
            end.wait(30)
        return FOUND

    def end(self, *hosts):
        for host in hosts:
            self.ends[host].set()


@pytest.fixture
def look_ups():
    wait_until(lambda: not resolver_threads())  # those of an earlier test would be counted
    look_ups = LookUps()
    yield look_ups
    look_ups.end(*look_ups.ends)


def resolver_threads(but=()):
    """Return the threads of resolvers, but for those that other tests left behind."""
    return {thread for thread in threading.enumerate() if thread.name == "webhooks-resolver"} - {*but}


def collected(resolver, count, seconds=5):
    found = {}
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found.update(resolver.collect(0.05))
    return found


def proven(resolver, *hosts):
    """Let the resolver know from before that these names resolve, with answers that are too old to be used."""
    for host in hosts:
        resolver._kept[host] = (0.0, FOUND)


def test_no_thread_exists_before_the_first_name_is_asked_for(look_ups):
    before = resolver_threads()
    resolver = Resolver(look_ups)
    assert not resolver_threads(before)
    resolver.ask("slow", "a")
    [thread] = resolver_threads(before)
    assert thread.daemon


def test_a_name_is_looked_up_once_however_often_it_is_asked_for(look_ups):
    resolver = Resolver(look_ups)
    for group in ("a", "a", "b"):
        resolver.ask("slow", group)
    wait_until(lambda: look_ups.started)
    look_ups.end("slow")
    assert collected(resolver, 1) == {"slow": FOUND}
    assert look_ups.started == ["slow"]
    assert not resolver.is_running


def test_a_group_runs_its_share_and_no_more(look_ups):
    resolver = Resolver(look_ups)
    hosts = [f"known-{number}" for number in range(20)]
    proven(resolver, *hosts)
    for host in hosts:
        resolver.ask(host, "a")
    wait_until(lambda: len(look_ups.started) == PER_GROUP)
    look_ups.end(hosts[0])
    assert list(collected(resolver, 1)) == [hosts[0]]
    wait_until(lambda: len(look_ups.started) == PER_GROUP + 1)
    assert look_ups.started == hosts[: PER_GROUP + 1]


def test_one_group_never_keeps_another_waiting(look_ups):
    resolver = Resolver(look_ups)
    for number in range(50):
        resolver.ask(f"slow-{number}", "a")
    resolver.ask("good", "b")
    assert collected(resolver, 1) == {"good": FOUND}


def test_names_that_hang_leave_room_for_one_that_has_resolved_before(look_ups):
    resolver = Resolver(look_ups)
    for number in range(50):
        resolver.ask(f"slow-{number}", "a")
    wait_until(lambda: len(look_ups.started) == UNPROVEN_PER_GROUP)
    proven(resolver, "good")
    resolver.ask("good", "a")
    assert collected(resolver, 1) == {"good": FOUND}
    assert len(look_ups.started) == UNPROVEN_PER_GROUP + 1


def test_a_name_that_another_group_waits_for_in_vain_is_looked_up_all_the_same(look_ups):
    resolver = Resolver(look_ups)
    for number in range(50):
        resolver.ask(f"slow-{number}", "a")
    resolver.ask("good", "a")
    resolver.ask("good", "b")
    assert collected(resolver, 1) == {"good": FOUND}
    assert look_ups.started.count("good") == 1


def test_all_groups_together_run_no_more_than_the_pool_holds(look_ups):
    resolver = Resolver(look_ups)
    before = resolver_threads()
    for number in range(4 * 64):
        resolver.ask(f"slow-{number}", number)
    wait_until(lambda: len(look_ups.started) == 64)
    assert len(resolver_threads(before)) == 64


def test_groups_take_turns_when_the_pool_is_full(look_ups, monkeypatch):
    monkeypatch.setattr(module, "THREADS", 1)
    resolver = Resolver(look_ups)
    resolver.ask("slow", "a")
    for number in range(10):
        resolver.ask(f"good-a{number}", "a")
    for group in ("b", "c"):
        for number in range(3):
            resolver.ask(f"good-{group}{number}", group)
    wait_until(lambda: look_ups.started)
    look_ups.end("slow")
    collected(resolver, 17)
    turns = [host[5] for host in look_ups.started[1:10]]
    assert turns == ["a", "b", "c"] * 3


def test_a_name_that_nobody_waits_for_any_more_leaves_its_line(look_ups):
    resolver = Resolver(look_ups)
    hosts = [f"slow-{number}" for number in range(10)]
    for host in hosts:
        resolver.ask(host, "a")
    wait_until(lambda: len(look_ups.started) == UNPROVEN_PER_GROUP)
    for host in hosts:
        resolver.give_up(host)
    resolver.ask("good", "a")
    look_ups.end(hosts[0])
    assert list(collected(resolver, 2)) == [hosts[0], "good"]


def test_a_known_name_that_then_hangs_is_known_no_longer(look_ups):
    resolver = Resolver(look_ups)
    hosts = [f"known-{number}" for number in range(UNPROVEN_PER_GROUP)]
    proven(resolver, "good", *hosts)
    for host in hosts:
        resolver.ask(host, "a")
        resolver.give_up(host)
    resolver.ask("slow", "a")  # would take the last place
    resolver.ask("good", "a")
    assert list(collected(resolver, 1)) == ["good"]
    assert "slow" not in look_ups.started


def test_an_answer_is_kept_for_its_time(look_ups, monkeypatch):
    resolver = Resolver(look_ups)
    resolver.ask("good", "a")
    collected(resolver, 1)
    assert resolver.kept("good") == FOUND
    assert module.KEPT <= 60
    asked_at = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: asked_at + module.KEPT + 1)
    assert resolver.kept("good") is None


@pytest.mark.parametrize("answer", [UNRESOLVED, Answer(error_kind="refused_address")])
def test_what_is_no_address_is_not_kept(answer):
    resolver = Resolver(lambda host: answer)
    resolver.ask("bad", "a")
    assert collected(resolver, 1) == {"bad": answer}
    assert resolver.kept("bad") is None


@pytest.mark.parametrize("error", [OSError("no"), UnicodeError("label too long"), RuntimeError("bug")])
def test_a_look_up_that_raises_did_not_resolve(error):
    def answer(host):
        raise error

    resolver = Resolver(answer)
    resolver.ask("bad", "a")
    assert collected(resolver, 1) == {"bad": UNRESOLVED}


def test_when_the_system_gives_no_thread_the_name_did_not_resolve(look_ups, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.threading.Thread, "start", start)
    resolver = Resolver(look_ups)
    resolver.ask("good", "a")
    assert collected(resolver, 1) == {"good": UNRESOLVED}


def test_the_oldest_of_too_many_names_is_forgotten(look_ups, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    resolver = Resolver(look_ups)
    for number in range(3):
        resolver.ask(f"good-{number}", "a")
        collected(resolver, 1)
    assert [resolver.kept(f"good-{number}") for number in range(3)] == [None, FOUND, FOUND]
