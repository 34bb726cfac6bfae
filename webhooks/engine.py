"""claim → build → send → judge → record: the loop that delivers what is due.

A drain has two threads. The caller's owns the database; curl's (sender.py) owns the network and waits for
nothing else, because libcurl's clock runs on while its thread is busy elsewhere. They take turns at Python (turns.py).
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import requests

from . import outages, queue
from .announcing import announce_notices, announce_verdicts
from .collector import patient_collector
from .conf import RECORD_MARGIN, settings
from .exceptions import InvalidRequest, UndecryptableSecret
from .health import Notice
from .models import Delivery
from .models.database import connection
from .queue import Claim, Told
from .request import Recipe, build, recipe_of
from .sender import Sender
from .stopping import stopped_by_sigterm
from .transport import Bounds
from .verdicts import Result, judged

T = TypeVar("T")

logger = logging.getLogger("webhooks")

# How long results are waited for, and gathered, before the next claim; seconds.
PATIENCE = 0.05
GATHER = 0.02
# The part of all slots whose results are gathered: larger batches cost less, and the rest keeps the network busy.
ENOUGH = 0.75
LINGER_PAUSE = 0.05
# When a delivery whose webhook cannot be decrypted is looked at again.
UNDECRYPTABLE_DELAY = timedelta(minutes=5)

_logged_undecryptable: set[tuple[int, int]] = set()


def drain(
    *,
    budget: float | None = None,
    linger: float | None = None,
    clock: Callable[[], datetime] | None = None,
) -> int:
    """Send what is due, until nothing is, and return the number of attempts recorded.

    budget: seconds after which nothing more is claimed (default: DRAIN_BUDGET). linger: seconds to stay for
    what falls due soon (default: as long as the budget lasts; 0: none). clock: in place of the database's.
    Works in any process; in a main thread it handles SIGTERM for its duration.
    """
    budget = settings.DRAIN_BUDGET if budget is None else budget
    started = time.monotonic()
    linger_until = started + min(budget, budget if linger is None else linger)
    queue.clear_wake()
    with stopped_by_sigterm() as stop:
        return Drain(started + budget, linger_until, clock, stop).run()


class _Outstanding(NamedTuple):
    """A delivery that is claimed and not yet recorded."""

    claim: Claim
    delivery: Delivery
    request: requests.PreparedRequest | None = None


class Drain:
    """One drain, from its first claim until nothing is due, its budget is spent or it is stopped."""

    def __init__(
        self,
        until: float,
        linger_until: float,
        clock: Callable[[], datetime] | None,
        stop: threading.Event,
    ) -> None:
        self.until = until
        self.linger_until = linger_until
        self.clock = clock
        self.stop = stop
        self.id = uuid.uuid4()
        self.bounds = Bounds.configured()
        self.sender = Sender(self.bounds)
        self.slots = queue.Slots(self.bounds.concurrency)
        self.outstanding: dict[int, _Outstanding] = {}
        self.recorded = 0
        self.recipes: dict[int, Recipe] = {}
        self.expects_due = False
        self.holds_linger = False
        self.replaced = False
        self.has_company = False

    def run(self) -> int:
        self.sender.start()
        try:
            turns = self.sender.turns
            with patient_collector(), turns.held(), turns.given_up_for_statements(connection()):
                while self.step():
                    pass
        finally:
            # Whatever happened, django-q2's time limit included: nothing stays claimed that is not recorded.
            self.sender.stop()
            self._hand_back(self.outstanding.values())
            if self.holds_linger:
                queue.stop_lingering(self.id)
        self._ask_for_another()
        return self.recorded

    def step(self) -> bool:
        """Do one round; return whether there is another."""
        if self.stop.is_set():
            self.sender.refuse()
        if self.outstanding and not self.replaced and not self._may_claim():
            # What is in flight may take long to end: somebody else must claim meanwhile.
            self.replaced = True
            self._ask_for_another()
        touched, unsendable = self._claim_and_send() if self._may_claim() else (0, [])
        results = [*unsendable, *self._collect()]
        if results:
            self._record(results)
        # Results free slots: what waited for one is claimed in the next round.
        return bool(touched or results or self.outstanding or self.linger())

    def _may_claim(self) -> bool:
        return not self.stop.is_set() and time.monotonic() < self.until

    def _claim_and_send(self) -> tuple[int, list[Result]]:
        """Claim as many as there are free slots; return how many rows that touched, and what cannot be sent."""
        free, share = self.slots.number - len(self.outstanding), self._share()
        if free < self.slots.worth_a_claim(share):
            return 0, []  # a larger batch will be cheaper
        claim = self._claimed(free, share)
        if len(claim.deliveries) >= free // 2 and not self.has_company:
            # More is due than one process sends at once: each drain brings one other, until all workers are busy.
            self.has_company = True
            queue.wake()
        sendable_until = claim.monotonic + settings.LEASE - settings.TIMEOUT - RECORD_MARGIN
        unsendable = []
        unsent = [delivery for delivery in claim.deliveries if not self._under_way(claim, delivery)]
        for delivery in unsent:
            self.outstanding[delivery.id] = _Outstanding(claim, delivery)
        for delivery in unsent:
            try:
                request = self._build(claim, delivery)
            except UndecryptableSecret as error:
                self._put_off(self.outstanding[delivery.id], error)
            except InvalidRequest as error:
                now_read = time.monotonic()
                # Without the traceback, which would keep all that was claimed with it.
                kept = error.with_traceback(None)
                unsendable.append(_result(self.outstanding[delivery.id], kept, now_read, now_read))
            else:
                self.outstanding[delivery.id] = _Outstanding(claim, delivery, request)
                self.sender.put(delivery.id, request, sendable_until)
        return claim.touched, unsendable

    def _claimed(self, free: int, share: queue.Share | None) -> Claim:
        now = None if self.clock is None else self.clock()
        alone = not self.outstanding
        claim = self._steadily(
            lambda: queue.claim(free, alone=alone, now=now, sure=self.expects_due, share=share)
        )
        self.expects_due = claim.touched > 0
        return claim

    def _share(self) -> queue.Share | None:
        held = [one.delivery.workspace_id for one in self.outstanding.values()]
        return self._steadily(lambda: self.slots.share(held, time.monotonic()))

    def _under_way(self, claim: Claim, delivery: Delivery) -> bool:
        """Whether this drain is sending the delivery already, and got it once more.

        Its lease has ended before its time: the host stood still, or a clock jumped; or a person has cancelled it
        and asked for it again. No second request goes out beside the first, whose result counts under the new claim
        unless it would be another's: then it is late, and the delivery waits until it must have come.
        """
        one = self.outstanding.get(delivery.id)
        if one is None:
            return False
        if _try_of(one.delivery) == _try_of(delivery):
            self.outstanding[delivery.id] = _Outstanding(claim, delivery, one.request)
        else:
            queue.hand_back(claim.token, [delivery.id], claim.now + timedelta(seconds=settings.TIMEOUT))
        return True

    def _build(self, claim: Claim, delivery: Delivery) -> requests.PreparedRequest:
        webhook, now = delivery.webhook, claim.moment(time.monotonic())
        if webhook.id not in self.recipes or self.recipes[webhook.id].webhook is not webhook:
            self.recipes[webhook.id] = recipe_of(webhook, now)
        recipe = self.recipes[webhook.id]
        return build(recipe, delivery.event, delivery.attempt_count + 1, now, delivery_id=delivery.id)

    def _put_off(self, one: _Outstanding, error: UndecryptableSecret) -> None:
        """Neither sign with something else nor send unsigned: wait for the key to come back."""
        webhook = one.delivery.webhook
        if (webhook.id, webhook.version) not in _logged_undecryptable:
            _logged_undecryptable.add((webhook.id, webhook.version))
            logger.error(
                "Webhook %s: what is encrypted of it cannot be read, nothing is sent. %s", webhook.id, error
            )
        due_at = one.claim.moment(time.monotonic()) + UNDECRYPTABLE_DELAY
        queue.hand_back(one.claim.token, [one.delivery.id], due_at)
        del self.outstanding[one.delivery.id]

    def _collect(self) -> list[Result]:
        """Return the results that have come; what was not sent is handed back."""
        sending = sum(one.request is not None for one in self.outstanding.values())
        if not sending:
            return []
        enough = max(int(self.bounds.concurrency * ENOUGH), 1)
        results, unsent = [], []
        with self.sender.turns.given_up():
            come = self.sender.collect(sending, enough, PATIENCE, GATHER)
        for sent in come:
            one = self.outstanding[sent.key]
            if sent.result is None:
                unsent.append(one)
            else:
                results.append(_result(one, sent.result, sent.started, sent.finished))
        self._hand_back(unsent)
        return results

    def _hand_back(self, rows: Iterable[_Outstanding]) -> None:
        by_claim: dict[uuid.UUID, list[_Outstanding]] = defaultdict(list)
        for one in list(rows):
            by_claim[one.claim.token].append(one)
            self.outstanding.pop(one.delivery.id, None)
        for token, group in by_claim.items():
            now = group[0].claim.moment(time.monotonic())
            queue.hand_back(token, [one.delivery.id for one in group], now)

    def _record(self, results: list[Result]) -> None:
        verdicts = [judged(result, _jitter()) for result in results]
        now = results[-1].claim.moment(time.monotonic())
        recorded = self._steadily(lambda: queue.record(verdicts, now))
        for result in results:
            del self.outstanding[result.delivery.id]
        self.recorded += len(results)
        announce_verdicts(verdict for verdict in verdicts if verdict.attempt.delivery_id in recorded.fenced)
        if recorded.told:
            self._pass_on(recorded.told)

    def _pass_on(self, told: Sequence[Told]) -> None:
        """Tell whom it concerns what became of webhooks; the owners by a task of its own."""
        recovered = [one.webhook_id for one in told if one.notice is Notice.RECOVERED]
        if recovered:
            self._steadily(lambda: queue.unpark(recovered))
        announce_notices(told)
        queue.notify_after_commit()

    def _steadily(self, call: Callable[[], T]) -> T:
        """Outlast a database that is away, as long as a lease still covers what is not recorded."""
        claimed = max((one.claim.monotonic for one in self.outstanding.values()), default=None)
        until = 0 if claimed is None else claimed + settings.LEASE
        return outages.outlast(call, until, self.sender.turns.given_up)

    def linger(self) -> bool:
        """Wait a moment if something falls due soon and no other drain waits for it."""
        if self.stop.is_set() or time.monotonic() >= self.linger_until or not _due_soon():
            return False
        self.holds_linger = queue.linger(self.id)
        return self.holds_linger and not self.stop.wait(LINGER_PAUSE)

    def _ask_for_another(self) -> None:
        if (self.stop.is_set() or time.monotonic() >= self.until) and _due_soon():
            queue.wake()


def _try_of(delivery: Delivery) -> tuple[int, int]:
    """What a request depends on, beside the event: which attempt it is, and of which state of its webhook."""
    return delivery.attempt_count, delivery.webhook.version


def _due_soon() -> bool:
    """Whether something falls due before the next sweep."""
    wait = queue.next_due().wait
    return wait is not None and wait <= queue.SWEEP_INTERVAL


def _result(
    one: _Outstanding, result: requests.Response | Exception, started: float, finished: float
) -> Result:
    return Result(
        claim=one.claim,
        delivery=one.delivery,
        request=one.request,
        result=result,
        started=started,
        finished=finished,
    )


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311  spreads retries, hides nothing
