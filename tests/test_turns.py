import threading
from functools import partial

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


class Connection:
    """As much of a database connection as matters here."""

    def __init__(self):
        self.execute_wrappers = []

    def execute(self, sql):
        def innermost(sql, parameters, many, context):
            return sql

        execute = innermost
        for wrapper in reversed(self.execute_wrappers):
            execute = partial(wrapper, execute)
        return execute(sql, [], False, {})


def test_a_statement_is_executed_while_the_other_has_its_turn(own):
    db = Connection()

    def look(execute, *statement):
        assert own._turn.acquire(timeout=10)
        own._turn.release()
        return execute(*statement)

    with own.held(), own.given_up_for_statements(db):
        db.execute_wrappers.append(look)
        assert db.execute("SELECT 1") == "SELECT 1"
        assert own._turn.locked()
    assert db.execute_wrappers == [look]  # the project's own, which came later, stays


def test_another_threads_statement_on_the_same_connection_takes_nobodys_turn(own):
    db, results = Connection(), []
    with own.held(), own.given_up_for_statements(db):
        in_thread(lambda: results.append((db.execute("SELECT 1"), own._turn.locked()))).join(10)
        assert own._turn.locked()
    assert results == [("SELECT 1", True)]


def test_a_statement_within_a_statement_is_executed(own):
    db = Connection()

    def explain(execute, sql, *rest):
        if not sql.startswith("EXPLAIN"):
            db.execute(f"EXPLAIN {sql}")
        return execute(sql, *rest)

    with own.held(), own.given_up_for_statements(db):
        db.execute_wrappers.append(explain)
        assert db.execute("SELECT 1") == "SELECT 1"
        assert own._turn.locked()


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
