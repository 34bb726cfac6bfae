"""What a test of chaos acts on: five webhooks, the receiver, the workers, and the oracle's verdict on them."""

import time
from datetime import timedelta

from django.db.models import F
from django_q.models import Schedule
from django_q.scheduler import scheduler

from tests.factories import make_webhook, make_workspace
from tests.processes import wait_for
from webhooks import queue
from webhooks.events import NewEvent, emit_many
from webhooks.models import Attempt, Delivery

from . import oracle, workers

WEBHOOKS = 5
# Two must succeed at their first attempt; three may fail, and do so.
_MAX_ATTEMPTS = {"/once/1": 1, "/once/2": 1, "/flaky/3": 8, "/flaky/4": 8, "/flaky/5": 8}


class Scene:
    def __init__(self, receiver, fleet, say):
        self.receiver = receiver
        self.fleet = fleet
        self.say = say
        self.workspace = make_workspace()
        self.emitted = 0
        for path, attempts in _MAX_ATTEMPTS.items():
            url = receiver.url + path
            make_webhook(self.workspace, name=path, callback_url=url, max_attempts=attempts, secret="s")

    def emit(self, deliveries):
        """Emit as many events as make this number of deliveries."""
        numbers = range(self.emitted, self.emitted + deliveries // WEBHOOKS)
        emit_many(NewEvent("order.created", self.workspace, {"n": number}) for number in numbers)
        self.emitted += len(numbers)

    def received(self, number):
        return len(self.receiver.requests) >= number

    def wait_received(self, number, seconds=30):
        wait_for(lambda: self.received(number), seconds, f"request {number}")

    def wait_delivered(self, seconds):
        """Wait until nothing is pending; the sweep comes each second, in place of each minute."""
        wait_for(self._is_delivered, seconds, "the last delivery")

    def _is_delivered(self):
        sweep(every=1)
        return not Delivery.objects.filter(status="pending").exists()

    def examine(self, **options):
        """Return the oracle's finding, having said it and seen that it is without a violation."""
        assert Delivery.objects.count() == self.emitted * WEBHOOKS
        kills = self.fleet.kills
        finding = oracle.examine(self.receiver.requests, kills, _deliveries(), **options)
        self.say(
            f"{finding.deliveries} deliveries, {finding.requests} requests, {len(kills)} processes killed, "
            f"{finding.repeated} requests repeated for that"
        )
        assert not finding.violations, "\n".join(finding.violations[:20])
        return finding


def sweep(every=0, _last=[0.0]):  # noqa: B006  kept between calls: when it last came
    """Do now what a cluster's scheduler does each minute: ask for the sweep. No more than once `every` seconds."""
    if time.monotonic() - _last[0] >= every:
        _last[0] = time.monotonic()
        Schedule.objects.filter(name="webhooks-sweep").update(next_run=F("next_run") - timedelta(hours=1))
        scheduler()


def restart_if_hung(unit):
    """What the watchdog does each minute: `webhooks health --max-lag`, and a restart when it fails."""
    hung = queue.lag() > timedelta(seconds=workers.BUDGET + 1)
    if hung:
        unit.restart()
    return hung


def _deliveries():
    attempts = {}
    for owner, number, digest in Attempt.objects.values_list("delivery_id", "number", "request_body_sha256"):
        attempts.setdefault(owner, []).append(oracle.Attempt(number, digest))
    rows = Delivery.objects.order_by("pk").values_list("pk", "event_id", "status")
    return [
        oracle.Delivery(pk, str(event), status, tuple(attempts.get(pk, ()))) for pk, event, status in rows
    ]
