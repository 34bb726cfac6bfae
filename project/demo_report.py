"""Holding what the receiver printed against what the database recorded."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webhooks.models import Delivery

_LINE = re.compile(
    r"received \S+ \S+ (?P<status>\d+) event=\S+ delivery=(?P<delivery>\d+) attempt=\d+ signature=(?P<signature>\w+)"
)


@dataclass(frozen=True)
class Receipt:
    """One line of the receiver."""

    delivery: int
    status: int
    verified: bool


def parse(line: str) -> Receipt | None:
    match = _LINE.match(line)
    if match is None:
        return None
    return Receipt(int(match["delivery"]), int(match["status"]), match["signature"] == "verified")


@dataclass(frozen=True, kw_only=True)
class Report:
    deliveries: int
    received: int
    verified: int
    recorded: int
    pending: int
    rows: Sequence[Sequence[str]]

    @property
    def is_complete(self) -> bool:
        return 0 < self.deliveries == self.received == self.verified == self.recorded

    def lines(self) -> list[str]:
        """Return the table, and the sum in the last line."""
        header = ("delivery", "event", "webhook", "status", "attempts", "codes")
        table = [header, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(header))]
        texts = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        last = (
            f"deliveries: {self.deliveries}, received: {self.received}, "
            f"verified: {self.verified}, recorded: {self.recorded}"
        )
        return [*texts, last]


def compare(deliveries: Iterable[Delivery], receipts: Iterable[Receipt]) -> Report:
    """Count the deliveries that …

    received: the receiver answered with 200; verified: it found every request's signature right;
    recorded: succeeded, and the attempts have the codes that the receiver says it gave, no more and no fewer;
    pending: have not ended.
    """
    by_delivery: dict[int, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        by_delivery[receipt.delivery].append(receipt)
    received = verified = recorded = pending = 0
    rows = []
    for delivery in deliveries:
        own = by_delivery[delivery.pk]
        attempts = sorted(delivery.attempts.all(), key=lambda attempt: attempt.pk)
        codes = [attempt.status_code or attempt.error_kind for attempt in attempts]
        received += any(receipt.status == 200 for receipt in own)
        verified += bool(own) and all(receipt.verified for receipt in own)
        pending += delivery.status == "pending"
        recorded += delivery.status == "succeeded" and codes == [receipt.status for receipt in own]
        rows.append(
            (
                str(delivery.pk),
                delivery.event_type,
                delivery.webhook.name,
                delivery.status,
                f"{delivery.attempts_made}/{delivery.webhook.max_attempts}",
                ",".join(map(str, codes)),
            )
        )
    return Report(
        deliveries=len(rows),
        received=received,
        verified=verified,
        recorded=recorded,
        pending=pending,
        rows=rows,
    )
