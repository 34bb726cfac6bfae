"""What a test of chaos acts on: five webhooks, the receiver, the workers, and the oracle's verdict on them."""

import time
from datetime import timedelta

from django.db.models import F
from django_q.models import Schedule
from django_q.scheduler import scheduler

from tests.factories import make_webhook, make_workspace
from tests.processes import wait_for
from webhooks.conf import settings
from webhooks.events import NewEvent, emit_many
from webhooks.models import Attempt, Delivery

from . import oracle

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
        self._tended = 0.0
        self.watchdog = lambda: None
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

    def wait_quiet(self, seconds):
        """Wait until no request has come for so long."""
        wait_for(lambda: time.monotonic() - self.receiver.requests[-1].at > seconds, 60, "the last request")

    def wait_tended(self, condition, seconds, what="the condition"):
        """Wait, and twice a second do what is done each minute elsewhere."""

        def tended():
            if time.monotonic() - self._tended > 0.5:
                self._tended = time.monotonic()
                self.tend()
            return condition()

        wait_for(tended, seconds, what)

    def tend(self):
        """Ask for the sweep, as a cluster's scheduler does; `webhooks deliver` sweeps by itself. Then the watchdog."""
        if settings.WAKE != "notify":
            Schedule.objects.filter(name="webhooks-sweep").update(next_run=F("next_run") - timedelta(hours=1))
            scheduler()
        self.watchdog()

    def wait_delivered(self, seconds):
        self.wait_tended(
            lambda: not Delivery.objects.filter(status="pending").exists(), seconds, "the last delivery"
        )

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


def _deliveries():
    attempts = {}
    columns = "delivery_id", "number", "request_body_sha256", "status_code", "error_kind"
    for owner, number, digest, status, error in Attempt.objects.values_list(*columns):
        attempts.setdefault(owner, []).append(oracle.Attempt(number, digest, error or str(status)))
    rows = Delivery.objects.order_by("pk").values_list("pk", "event_id", "status")
    return [
        oracle.Delivery(pk, str(event), status, tuple(attempts.get(pk, ()))) for pk, event, status in rows
    ]
