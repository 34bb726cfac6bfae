"""Pacing: a webhook's rate limit, held across all processes because its clock is a row that a claim locks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from .. import limits, rate
from .candidates import Candidate
from .states import locked_states, write_states


def within_rates(sendable: list[Candidate], now: datetime) -> list[Candidate]:
    """Return those that their webhooks' rate limits let through now, in their order; the others stay due.

    What is let through counts as sent at `now`.
    """
    limited = {one.webhook_id: limits.usable_rate(one.rate_limit) for one in sendable}
    rates = {pk: limit for pk, limit in limited.items() if limit is not None}
    if not rates:
        return sendable
    paces = locked_states(rates)
    room = {pace.webhook_id: rate.allowed(pace.sendable_at, rates[pace.webhook_id], now) for pace in paces}
    taken = list(_first_of_each(sendable, room))
    sent = Counter(one.webhook_id for one in taken)
    for pace in paces:
        pk = pace.webhook_id
        pace.sendable_at = rate.spent(pace.sendable_at, rates[pk], now, sent[pk])
    write_states(paces, ["sendable_at"])
    return taken


def _first_of_each(sendable: Iterable[Candidate], room: Mapping[int, int]) -> Iterable[Candidate]:
    taken: Counter[int] = Counter()
    for row in sendable:
        taken[row.webhook_id] += 1
        if row.webhook_id not in room or taken[row.webhook_id] <= room[row.webhook_id]:
            yield row
