import threading

import pytest

from tests.processes import wait_for
from webhooks import turns
from webhooks.turns import Turns


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_WAIT", 30)
    return Turns()


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_curls_thread_has_its_turn_while_the_other_waits(own):
    seen, began = [], threading.Event()

    def drive():
        began.set()
        with own.awaited():
            seen.append("curl")

    with own.held():
        thread = in_thread(drive)
        assert began.wait(10)
        thread.join(0.1)
        assert not seen
        with own.given_up():
            wait_for(lambda: seen, 10, "curl's turn")
        seen.append("caller")
    thread.join(10)
    assert seen == ["curl", "caller"]


def test_the_caller_goes_on_when_curls_turn_is_over(own):
    began, may_end, seen = threading.Event(), threading.Event(), []

    def drive():
        with own.awaited():
            began.set()
            may_end.wait(10)
            seen.append("curl")

    with own.held():
        with own.given_up():
            in_thread(drive)
            assert began.wait(10)
            may_end.set()
        seen.append("caller")
    assert seen == ["curl", "caller"]


def test_a_turn_that_does_not_come_is_done_without(own, monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.01)

    def drive():
        with own.awaited():
            pass

    with own.held():
        thread = in_thread(drive)
        thread.join(10)
        assert not thread.is_alive()
        assert not own._turn.acquire(blocking=False)  # not given back by who had not got it


def test_a_statement_is_executed_while_the_other_has_its_turn(own):
    def execute(sql, parameters, many, context):
        assert own._turn.acquire(timeout=10)
        own._turn.release()
        return (sql, parameters)

    with own.held():
        assert own.given_up_for(execute, "SELECT 1", [], False, {}) == ("SELECT 1", [])
        assert not own._turn.acquire(blocking=False)


def test_what_interrupts_the_wait_for_the_turn_is_what_is_raised(own):
    def interrupted():
        raise TimeoutError

    with pytest.raises(TimeoutError), own.held():
        own._take = interrupted
        try:
            with own.given_up():
                pass
        finally:
            with own.given_up():  # a rollback, on the way out
                assert own._turn.acquire(blocking=False)
                own._turn.release()
    assert own._turn.acquire(blocking=False)
