"""A day of a failing webhook: the table in docs/health.md is what this test sees."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.core import mail
from django.db.models import Count

from tests.factories import make_user, make_webhook, make_workspace
from webhooks import actions, notifications, queue, signals
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, Webhook, WebhookState

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "health.md"
QUARTER = timedelta(minutes=15)


class Day:
    """A webhook whose clock is ours: nothing waits for real time."""

    def __init__(self, webhook, receiver):
        self.webhook = webhook
        self.receiver = receiver
        self.midnight = queue.database_now()
        self.now = self.midnight
        self.requests = self.mails = 0
        self.rows = [("00:00", "0", "active", "")]

    def clock(self):
        return self.now

    def until(self, hours):
        """Live until then: an event each quarter of an hour, and whatever falls due, at its time."""
        end = self.midnight + timedelta(hours=hours)
        quarter = self.midnight + QUARTER * -(-(self.now - self.midnight) // QUARTER)
        while (moment := min(self.next_moment(), quarter)) < end:
            self.now = max(self.now, moment)
            if quarter <= self.now:
                emit("order.created", workspace=self.webhook.workspace, data={})
                quarter += QUARTER
            self.live()
        self.now = end

    def next_moment(self):
        paused = WebhookState.objects.filter(webhook__is_active=True, paused_until__gt=self.now)
        moments = [queue.next_due().at, *paused.values_list("paused_until", flat=True)]
        return min(
            (moment for moment in moments if moment and moment > self.now),
            default=datetime.max.replace(tzinfo=self.now.tzinfo),
        )

    def live(self):
        """Sweep, send what is due, and mail what is to be told."""
        queue.unpark(now=self.now)
        queue.remind(self.now)
        while drain(linger=0, clock=self.clock):
            pass
        notifications.send_due(self.now + timedelta(seconds=1))
        self.note()

    def attempted(self, **_):
        self.requests += 1
        self.note()

    def note(self):
        """Note what is new: how the webhook stands, and what its owners were told."""
        standing, mails = self.standing(), [one.subject for one in mail.outbox[self.mails :]]
        if mails and self.rows[-1][2] == standing:
            self.rows[-1] = (*self.rows[-1][:3], "; ".join(mails))
        elif standing != self.rows[-1][2]:
            # While the backlog drips, how many results come together is a matter of milliseconds.
            requests = "" if "at a time" in standing else str(self.requests)
            self.rows.append((self.at(self.now), requests, standing, "; ".join(mails)))
        self.mails += len(mails)

    def standing(self):
        state = WebhookState.objects.filter(webhook=self.webhook).first()
        if not Webhook.objects.get(pk=self.webhook.pk).is_active:
            return "disabled"
        if state is None or not (state.consecutive_failures or state.paused_until or state.drip):
            return "active"
        if state.paused_until is not None and state.paused_until > self.now:
            return f"paused until {self.at(state.paused_until)}"
        if state.paused_until is not None:
            return "tried with one delivery"
        return f"recovering, {state.drip} at a time" if state.drip else "failing"

    def at(self, moment):
        minutes = (moment - self.midnight) // timedelta(minutes=1)
        return f"{minutes // 60:02}:{minutes % 60:02}"


@pytest.fixture
def day(receiver, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "RETRY_SCHEDULE": (5, 60, 300, 1800, 7200, 18000, 36000)}
    workspace = make_workspace()
    owner = {"role": "owner", "workspace": workspace}
    make_user(**(owner if apps.is_installed("workspace") else {"superuser": True}))
    day = Day(make_webhook(workspace, name="CRM", callback_url=receiver.url), receiver)
    signals.attempt_finished.connect(day.attempted)
    yield day
    signals.attempt_finished.disconnect(day.attempted)


@pytest.fixture
def heard():
    """The names of the signals that are sent, in their order."""
    names = []
    told = {
        signals.webhook_failing: lambda **_: names.append("failing"),
        signals.webhook_disabled: lambda **_: names.append("disabled"),
        signals.webhook_recovered: lambda **_: names.append("recovered"),
    }
    for signal, receiver in told.items():
        signal.connect(receiver)
    yield names
    for signal, receiver in told.items():
        signal.disconnect(receiver)


def answer(day, status):
    day.receiver.answer = lambda request: (status, {}, b"")


def test_a_day_of_a_failing_webhook(day, heard):
    answer(day, 500)
    day.until(8)
    answer(day, 410)
    day.until(10)
    answer(day, 200)
    actions.activate(day.webhook, by=None)
    day.until(24)
    table = ["| Time | Requests so far | The webhook is | Mail to its owners |", "|---|---|---|---|"]
    table += [f"| {' | '.join(row)} |" for row in day.rows]
    assert heard == ["failing", "disabled", "recovered"]
    assert len(mail.outbox) == 3
    assert "\n".join(table) in PAGE.read_text(encoding="utf-8"), "\n".join(table)
    ended = Delivery.objects.values_list("status").annotate(number=Count("pk"))
    assert dict(ended) == {"failed": 1, "succeeded": 91}
