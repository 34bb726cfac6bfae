"""A webhook's pace with two worker processes: is its rate kept, and its order?

    python -m benchmarks.pace [--database postgresql|sqlite] [--rate 50] [--seconds 20] [--ordered 1000]

The receiver counts what arrives in each second, and answers every tenth request of the ordered webhook with 500.
Ends non-zero when the rate leaves ± 10 %, or when anything arrives out of order.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping

from benchmarks.receiving import receiving
from benchmarks.stage import migrate, parser_of, postgresql, scratch, sqlite, wait_until, workers


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--ordered", type=int, default=1000)
    options = parser.parse_args()
    with scratch() as folder:
        database = postgresql if options.database == "postgresql" else sqlite
        log = Log()
        with database(folder), receiving(log.answer) as log.url:
            kept = measure_rate(log, options.rate, options.seconds)
            kept &= measure_order(log, options.ordered)
    sys.exit(0 if kept else 1)


class Log:
    """What arrived: the moment, the delivery, the answer."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.url = ""
        self.start_over(refuse_every=0)

    def start_over(self, *, refuse_every: int) -> None:
        self.refuse_every = refuse_every
        self.lines: list[tuple[float, int, int]] = []

    def answer(self, headers: Mapping[str, str], _body: bytes) -> int:
        """Note a request, and return the status of its answer."""
        delivery = int(headers["X-Webhook-Delivery"])
        with self.lock:
            refused = self.refuse_every and len(self.lines) % self.refuse_every == self.refuse_every - 1
            status = 500 if refused else 200
            self.lines.append((time.monotonic(), delivery, status))
        return status


def measure_rate(log: Log, rate: float, seconds: float) -> bool:
    owe(log.url, round(rate * seconds * 1.5), rate_limit=rate)
    with workers(2, budget=seconds + 10):
        wait_until(lambda: bool(log.lines), 30)
        time.sleep(seconds + 1)
    first = log.lines[0][0] + 1  # what a quarter of a second's silence saved up is not the pace
    measured = sum(first <= moment < first + seconds - 1 for moment, _, _ in log.lines) / (seconds - 1)
    by_second = [
        sum(first + second <= moment < first + second + 1 for moment, _, _ in log.lines)
        for second in range(int(seconds) - 1)
    ]
    kept = abs(measured - rate) <= rate / 10
    print(f"rate limit {rate:g}/s, two processes, {seconds:g} s: {measured:.1f}/s at the receiver,", end=" ")
    print(f"{min(by_second)} to {max(by_second)} in a second: {'kept' if kept else 'missed'}")
    return kept


def measure_order(log: Log, count: int) -> bool:
    log.start_over(refuse_every=10)
    owe(log.url, count, ordered=True, max_attempts=20)
    started = time.monotonic()
    with workers(2, budget=600):
        wait_until(lambda: sum(status == 200 for _, _, status in log.lines) >= count, 600)
    elapsed = time.monotonic() - started
    accepted = [delivery for _, delivery, status in log.lines if status == 200]
    tried = [delivery for _, delivery, _ in log.lines]
    kept = accepted == sorted(set(accepted)) and len(accepted) == count and tried == sorted(tried)
    refused = len(tried) - len(accepted)
    print(f"ordered, two processes: {count} events, {refused} answers of 500, {elapsed:.0f} s:", end=" ")
    print("in order" if kept else "OUT OF ORDER")
    return kept


def owe(url: str, count: int, **fields: object) -> None:
    migrate()
    from django.db import connection, transaction

    from webhooks.events import NewEvent, emit_many
    from webhooks.models import Webhook
    from workspace.models import Workspace

    workspace, _ = Workspace.objects.get_or_create(name="Benchmark", slug="benchmark")
    Webhook.objects.update(is_active=False)
    name = str(Webhook.objects.count())
    webhook = Webhook.objects.create(workspace=workspace, name=name, callback_url=url, **fields)
    webhook.subscribe("*")
    with transaction.atomic():
        emit_many(NewEvent("activity.published", workspace, {"number": number}) for number in range(count))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_q_ormq")


if __name__ == "__main__":
    main()
