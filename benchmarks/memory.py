"""The memory of one worker that has all its slots in flight and a long backlog behind them, on PostgreSQL.

    python -m benchmarks.memory [--backlog 1000000] [--seconds 8]

The receiver answers each request after a second, so that the slots stay taken.
"""

from __future__ import annotations

import sys
import time

from benchmarks.backlog import owe
from benchmarks.meter import peak_memory
from benchmarks.stage import WEBHOOKS, migrate, parser_of, postgresql, scratch, wait_until, workers
from benchmarks.surroundings import light_receiver

BOUND = 200_000_000
DELAY = "1"


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    with scratch() as folder, postgresql(folder), light_receiver(folder / "receiver", DELAY) as (url, _):
        migrate()
        return measure(url, options.backlog, options.seconds)


def measure(url: str, backlog: int, seconds: float) -> int:
    from webhooks.conf import settings
    from webhooks.models import Delivery, Webhook
    from workspace.models import Workspace

    owe(backlog, WEBHOOKS)
    Webhook.objects.update(callback_url=url)
    # One workspace leaves a quarter of a worker to others: so half of this is another's.
    other = Workspace.objects.create(name="Other", slug="other")
    Webhook.objects.filter(pk__in=Webhook.objects.order_by("pk")[: WEBHOOKS // 2]).update(workspace=other)
    claimed = Delivery.objects.filter(status="pending", claim__isnull=False)
    with workers(1, budget=600) as pids:
        wait_until(lambda: claimed.count() == settings.CONCURRENCY, 60)
        time.sleep(seconds)
        memory = peak_memory(pids)
    kept = memory < BOUND
    print(f"{settings.CONCURRENCY} in flight, {backlog:,} pending, {WEBHOOKS} webhooks:", end=" ")
    print(f"the worker's peak is {memory / 1e6:.0f} MB;", end=" ")
    print(f"target: under {BOUND / 1e6:.0f} MB: {'kept' if kept else 'missed'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
