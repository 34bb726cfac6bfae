"""Looks begin at a mark once looking from the beginning has become slow, and nothing stays below it."""

from datetime import datetime, timedelta, timezone

import pytest
from django.db import connection

from tests.factories import make_webhook, make_workspace
from webhooks.events import emit
from webhooks.models import Delivery
from webhooks.queue import candidates, claim, clock, database_now, low_water, next_due
from webhooks.queue.low_water import LowWater

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def looks_may_be_slow(no_low_water, monkeypatch):
    monkeypatch.setattr(low_water, "SLOW", 0.01)


def test_no_mark_while_looks_are_quick():
    water = LowWater()
    water.looked(NOON, NOON, 10.0, 10.009)
    assert water.mark(10.01) is None


def test_a_slow_look_sets_a_mark_for_twenty_times_as_long():
    water = LowWater()
    water.looked(NOON - 5 * SECOND, NOON, 10.0, 10.1)
    assert water.mark(12.09) == NOON - 5 * SECOND
    assert water.mark(12.11) is None


@pytest.mark.parametrize("earliest", [None, NOON, NOON + 60 * SECOND])
def test_a_mark_leaves_room_for_transactions_that_commit_late(earliest):
    water = LowWater()
    water.looked(earliest, NOON, 10.0, 10.1)
    assert water.mark(10.2) == NOON - 2 * SECOND


def test_the_mark_rises_with_the_looks_and_holds_no_longer_for_it():
    water = LowWater()
    water.looked(None, NOON, 10.0, 10.1)
    water.looked(None, NOON + SECOND, 11.0, 11.05)
    assert water.mark(11.1) == NOON - SECOND
    assert water.mark(12.11) is None


@pytest.mark.django_db(transaction=True)
def test_what_lies_below_the_mark_is_found_when_it_no_longer_holds(monkeypatch):
    workspace = make_workspace()
    make_webhook(workspace)
    emit("order.created", workspace=workspace, data={})
    Delivery.objects.update(due_at=database_now() - timedelta(hours=1))
    waters = {False: LowWater(), True: LowWater()}
    monkeypatch.setattr(candidates, "_waters", waters)
    monkeypatch.setattr(clock, "_water", waters[False])
    waters[False].looked(None, database_now(), 0, 1e9)
    if connection.vendor != "postgresql":
        assert next_due().is_due  # the mark is for what SQLite has not
        return
    assert next_due().at is None
    assert not claim(8, alone=True, sure=True).deliveries
    monkeypatch.setattr(low_water, "SLOW", -1)
    waters[False].__init__()
    assert next_due().is_due
    assert len(claim(8, alone=True, sure=True).deliveries) == 1


@pytest.mark.django_db(transaction=True)
def test_a_backlog_is_not_below_the_mark_of_the_look_that_found_it(monkeypatch):
    monkeypatch.setattr(low_water, "SLOW", -1)
    monkeypatch.setattr(low_water, "HOLDS", 1e9)
    monkeypatch.setattr(candidates, "_waters", {False: LowWater(), True: LowWater()})
    monkeypatch.setattr(clock, "_water", LowWater())
    workspace = make_workspace()
    make_webhook(workspace)
    for _ in range(4):
        emit("order.created", workspace=workspace, data={})
    # Times without a fraction, and with one of milliseconds, are where texts are in another order than moments.
    past = (database_now() - timedelta(hours=1)).replace(microsecond=0)
    for number, delivery in enumerate(Delivery.objects.order_by("pk")):
        due_at = past + timedelta(milliseconds=500 * number)
        Delivery.objects.filter(pk=delivery.pk).update(due_at=due_at)
    taken = [len(claim(2, alone=False).deliveries) for _ in range(2)]
    assert taken == [2, 2]
