"""Record: what an attempt did to its delivery, if the delivery is still ours, and to the health of its webhook."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from ..models import WebhookState
from ..models.database import alias
from ..retry import Outcome
from .parking import release
from .rows import pending
from .states import Finding, Told, note
from .verdict import Verdict
from .writing import Written, write


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording a batch came to."""

    fenced: frozenset[int]
    """The deliveries that were still ours; the attempts of the others are marked late and changed nothing."""
    told: Sequence[Told] = ()
    """What the owners are to be told, already noted for the mail."""


def record(verdicts: Sequence[Verdict], now: datetime) -> Recorded:
    """Write the attempts, and what they did to the deliveries that are still theirs and to their webhooks."""
    if not verdicts:
        return Recorded(fenced=frozenset())
    with transaction.atomic(using=alias()):
        written = write(verdicts, now)
        mine = [verdict for verdict in verdicts if not verdict.attempt.late]
        _release_next(mine, written, now)
        findings = [_finding(one, written.owners) for one in mine if _says_something(one, written)]
        told, states = note(findings, written.unwell, now)
        _hold_back(mine, written.owners, states, now)
    return Recorded(fenced=frozenset(written.owners), told=told)


def hand_back(token: uuid.UUID, ids: Collection[int], due_at: datetime) -> int:
    """Give up the claim on deliveries that were not sent, due at `due_at`; it costs them no attempt."""
    mine = pending().filter(pk__in=ids, claim=token)
    return mine.update(claim=None, due_at=due_at, lost_claims=F("lost_claims") - 1)


def _release_next(mine: Iterable[Verdict], written: Written, now: datetime) -> None:
    ended = {written.owners[one.attempt.delivery_id] for one in mine if one.status != "pending"}
    if ended & written.ordered:
        release(ended & written.ordered, now)


def _says_something(verdict: Verdict, written: Written) -> bool:
    """Whether its webhook's health may change: not by our own faults, nor by a success of one that is well."""
    if verdict.outcome is Outcome.SUCCESS:
        return written.owners[verdict.attempt.delivery_id] in written.unwell
    return not verdict.is_ours


def _finding(verdict: Verdict, owners: Mapping[int, int]) -> Finding:
    return Finding(
        webhook_id=owners[verdict.attempt.delivery_id],
        outcome=verdict.outcome,
        error_kind=verdict.attempt.error_kind,
        status_code=verdict.attempt.status_code,
    )


def _hold_back(
    mine: Iterable[Verdict], owners: Mapping[int, int], states: Mapping[int, WebhookState], now: datetime
) -> None:
    """Let what failed just now wait for the end of its webhook's pause: the first of them will be its probe."""
    paused: dict[datetime, list[int]] = defaultdict(list)
    for verdict in mine:
        state = states.get(owners[verdict.attempt.delivery_id])
        until = state.paused_until if state else None
        if verdict.due_at is not None and until is not None and max(verdict.due_at, now) < until:
            paused[until].append(verdict.attempt.delivery_id)
    for until, ids in paused.items():
        pending().filter(pk__in=ids).update(due_at=until)
