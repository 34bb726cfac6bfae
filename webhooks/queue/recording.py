"""Record: what an attempt did to its delivery, if the delivery is still ours, and to the health of its webhook."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from .. import error_kinds
from ..models import Attempt, WebhookState
from ..models.database import alias
from ..retry import Outcome
from .parking import release
from .rows import deliveries, pending
from .states import Finding, Told, note


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an attempt did to its delivery."""

    claim: uuid.UUID
    attempt: Attempt
    outcome: Outcome
    status: str
    ended_because: str
    due_at: datetime | None

    @property
    def is_ours(self) -> bool:
        """Whether the fault was on this side: then neither the delivery nor its webhook is charged with it."""
        return error_kinds.is_ours(self.attempt.error_kind)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording a batch came to."""

    fenced: frozenset[int]
    """The deliveries that were still ours; the attempts of the others are marked late and changed nothing."""
    told: Sequence[Told] = ()
    """What the owners are to be told, already noted for the mail."""


def record(verdicts: Sequence[Verdict], now: datetime) -> Recorded:
    """Write the attempts, and what they did to the deliveries that are still theirs and to their webhooks."""
    with transaction.atomic(using=alias()):
        fenced = _fenced(verdicts)
        for verdict in verdicts:
            verdict.attempt.late = verdict.attempt.delivery_id not in fenced
        Attempt.objects.using(alias()).bulk_create([verdict.attempt for verdict in verdicts])
        mine = [verdict for verdict in verdicts if not verdict.attempt.late]
        _apply(mine, now)
        _release_next(mine, fenced, now)
        told, states = note([_finding(one, fenced) for one in mine if not one.is_ours], now)
        _hold_back(mine, fenced, states, now)
    return Recorded(fenced=frozenset(fenced), told=told)


def hand_back(token: uuid.UUID, ids: Collection[int], due_at: datetime) -> int:
    """Give up the claim on deliveries that were not sent, due at `due_at`; it costs them no attempt."""
    mine = pending().filter(pk__in=ids, claim=token)
    return mine.update(claim=None, due_at=due_at, lost_claims=F("lost_claims") - 1)


def _fenced(verdicts: Iterable[Verdict]) -> dict[int, int]:
    """Lock, in the order of their ids, the deliveries that still carry the claim they were sent under.

    Returns the webhook of each.
    """
    claims = {verdict.attempt.delivery_id: verdict.claim for verdict in verdicts}
    rows = pending().filter(pk__in=claims).order_by("pk")
    locked = rows.select_for_update().values_list("pk", "claim", "webhook_id")
    return {pk: webhook_id for pk, held, webhook_id in locked if held == claims[pk]}


def _apply(mine: Sequence[Verdict], now: datetime) -> None:
    for (status, because, due_at, ours), ids in _grouped(mine).items():
        deliveries().filter(pk__in=ids).update(
            status=status,
            ended_because=because,
            due_at=due_at,
            finished_at=None if status == "pending" else now,
            claim=None,
            lost_claims=0,
            attempt_count=F("attempt_count") + 1,
            attempts_before=F("attempts_before") + int(ours),
        )


def _grouped(verdicts: Iterable[Verdict]) -> dict[tuple[str, str, datetime | None, bool], list[int]]:
    groups: dict[tuple[str, str, datetime | None, bool], list[int]] = defaultdict(list)
    for verdict in verdicts:
        key = (verdict.status, verdict.ended_because, verdict.due_at, verdict.is_ours)
        groups[key].append(verdict.attempt.delivery_id)
    return groups


def _release_next(mine: Iterable[Verdict], fenced: Mapping[int, int], now: datetime) -> None:
    ended = {fenced[one.attempt.delivery_id] for one in mine if one.status != "pending"}
    if ended:
        release(ended, now)


def _finding(verdict: Verdict, fenced: Mapping[int, int]) -> Finding:
    return Finding(
        webhook_id=fenced[verdict.attempt.delivery_id],
        outcome=verdict.outcome,
        error_kind=verdict.attempt.error_kind,
        status_code=verdict.attempt.status_code,
    )


def _hold_back(
    mine: Iterable[Verdict], fenced: Mapping[int, int], states: Mapping[int, WebhookState], now: datetime
) -> None:
    """Let what failed just now wait for the end of its webhook's pause: the first of them will be its probe."""
    paused: dict[datetime, list[int]] = defaultdict(list)
    for verdict in mine:
        state = states.get(fenced[verdict.attempt.delivery_id])
        until = state.paused_until if state else None
        if verdict.due_at is not None and until is not None and max(verdict.due_at, now) < until:
            paused[until].append(verdict.attempt.delivery_id)
    for until, ids in paused.items():
        pending().filter(pk__in=ids).update(due_at=until)
