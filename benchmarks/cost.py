"""What a delivery costs one worker on PostgreSQL (processor time, SQL statements, memory), and what an emit costs.

python -m benchmarks.cost [--deliveries 20000]
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.stage import PAYLOAD, emit_deliveries, nginx, parser_of, postgresql, prepare, scratch

if TYPE_CHECKING:
    from workspace.models import Workspace


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--deliveries", type=int, default=20_000)
    options = parser.parse_args()
    with scratch() as folder, postgresql(folder), nginx(folder) as url:
        # As `manage.py webhooks deliver` is woken: django-q2's broker would end this very connection.
        os.environ["BENCHMARK_WAKE"] = "notify"
        prepare(url)
        emit_deliveries(2000)
        measure_drain(2000)
        emit_deliveries(options.deliveries)
        print(measure_drain(options.deliveries))
        for webhooks in (10, 1000, 10_000):
            print(measure_emit(webhooks))
        print(measure_emit_many())


def measure_drain(count: int) -> str:
    """Drain in this process, so that its statements can be counted."""
    from django.db import connection

    from webhooks.engine import drain
    from webhooks.models import Delivery

    statements = 0

    def counting(execute: Callable[..., object], *arguments: object) -> object:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    server = backend()
    before, started = (time.process_time(), processor_seconds(server)), time.perf_counter()
    with connection.execute_wrapper(counting):
        drain(budget=math.inf, linger=0)
    elapsed = time.perf_counter() - started
    python, database = time.process_time() - before[0], processor_seconds(server) - before[1]
    assert Delivery.objects.filter(status="succeeded").count() == count
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{count / elapsed:,.0f} deliveries/s; a delivery costs {1e6 * python / count:.0f} µs in the worker, "
        f"{1e6 * database / count:.0f} µs in PostgreSQL, {statements / count:.4f} statements; "
        f"the worker's peak is {memory:.0f} MB"
    )


def measure_emit(webhooks: int) -> str:
    from django.db import transaction

    from webhooks.events import emit

    workspace = subscribed(f"of-{webhooks}", webhooks)
    times, commits = [], []
    for _ in range(10 if webhooks > 1000 else 60):
        started = time.perf_counter()
        with transaction.atomic():
            emit("activity.published", workspace=workspace, data=PAYLOAD)
            ended = time.perf_counter()
        times.append(1000 * (ended - started))
        commits.append(1000 * (time.perf_counter() - ended))
    return (
        f"emit to {webhooks:,} webhooks: median {statistics.median(times):.1f} ms, most {max(times):.1f} ms, "
        f"then commit {statistics.median(commits):.1f} ms"
    )


def measure_emit_many(count: int = 1000, webhooks: int = 10, rounds: int = 5) -> str:
    """Emit the same events at once and one by one, in turn; both in one transaction each."""
    from django.db import transaction

    from webhooks.events import NewEvent, emit, emit_many

    workspace = subscribed("many", webhooks)
    at_once, one_by_one = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        emit_many(NewEvent("activity.published", workspace, PAYLOAD) for _ in range(count))
        between = time.perf_counter()
        with transaction.atomic():
            for _ in range(count):
                emit("activity.published", workspace=workspace, data=PAYLOAD)
        at_once.append(1000 * (between - started))
        one_by_one.append(1000 * (time.perf_counter() - between))
    ratio = statistics.median(two / one for one, two in zip(at_once, one_by_one, strict=True))
    return (
        f"emit_many of {count:,} events to {webhooks} webhooks: median {statistics.median(at_once):.0f} ms; "
        f"emit in a loop: {statistics.median(one_by_one):.0f} ms; ratio {ratio:.1f}"
    )


def subscribed(slug: str, webhooks: int) -> Workspace:
    """Return a new workspace with so many webhooks that want everything."""
    from django.db import connection

    from webhooks.models import Subscription, Webhook
    from workspace.models import Workspace

    workspace = Workspace.objects.create(name=slug, slug=slug)
    rows = [
        Webhook(workspace=workspace, name=str(number), callback_url="http://127.0.0.1:9/")
        for number in range(webhooks)
    ]
    Subscription.objects.bulk_create(
        [Subscription(webhook=webhook, pattern="*") for webhook in Webhook.objects.bulk_create(rows)]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return workspace


def backend() -> int:
    """Return the pid of the server's process that serves this connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
