"""How long a claim takes, by the number of pending rows and of webhooks that own them, on PostgreSQL.

    python -m benchmarks.backlog [--rows 10000 1000000] [--webhooks 1 100 10000]

Each claim takes what is free, 512 at most, and what it took is handed back before the next, so that the backlog stays.
"behind": the same while one webhook that can take nothing more owns the whole backlog and another has one fresh row.
"""

from __future__ import annotations

import statistics
import time
from datetime import datetime

from benchmarks.stage import migrate, parser_of, postgresql, scratch

CLAIMS = 15


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--webhooks", type=int, nargs="+", default=[1, 100, 10_000])
    options = parser.parse_args()
    with scratch() as folder, postgresql(folder):
        migrate()
        print("   pending  webhooks  taken  median ms  most ms", flush=True)
        for rows in options.rows:
            for webhooks in options.webhooks:
                owe(rows, webhooks)
                print(f"{rows:>10,} {webhooks:>9,}", measured())
            behind(rows)
            print(f"{rows:>10,}    behind", measured())


def owe(rows: int, webhooks: int) -> None:
    """Begin with a workspace of so many webhooks, and a backlog of theirs."""
    from django.db import connection

    begin(webhooks)
    add(rows)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE webhooks_delivery")


def begin(webhooks: int) -> None:
    """Empty the tables, and make a workspace of so many webhooks."""
    from django.db import connection

    from webhooks.models import Webhook
    from workspace.models import Workspace

    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE webhooks_delivery, webhooks_event, webhooks_webhook, workspace_workspace CASCADE"
        )
    workspace = Workspace.objects.create(name="Backlog", slug="backlog")
    Webhook.objects.bulk_create(
        Webhook(workspace=workspace, name=str(number), callback_url="http://127.0.0.1:9/")
        for number in range(webhooks)
    )


def add(rows: int) -> None:
    """Make a backlog of that workspace's webhooks by SQL: emits would take longer than all that is measured."""
    from django.db import connection

    from webhooks.models import Event, Webhook

    webhooks = Webhook.objects.filter(workspace__slug="backlog").exclude(name="healthy").order_by("pk")
    workspace = webhooks[0].workspace
    event = Event.objects.create(
        workspace=workspace, workspace_key="backlog", type="activity.published", data="{}", occurred_at=now()
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE webhooks_delivery DROP CONSTRAINT IF EXISTS webhooks_delivery_once")
        cursor.execute(
            """
            INSERT INTO webhooks_delivery (event_id, webhook_id, workspace_id, event_type, status, ended_because,
                due_at, claim, lost_claims, attempt_count, attempts_before, created_at, finished_at)
            SELECT %s, %s + number %% %s, %s, 'activity.published', 'pending', '',
                now() - interval '1 hour' + number * (interval '1 hour' / %s), NULL, 0, 0, 0, now(), NULL
            FROM generate_series(0, %s) AS number
            """,
            [event.pk, webhooks[0].pk, len(webhooks), workspace.pk, rows, rows - 1],
        )


def behind(rows: int) -> None:
    """One webhook at its cap owns the backlog; another has one row, which fell due last."""
    from webhooks.models import Delivery, Webhook
    from webhooks.queue import claim

    owe(rows, 1)
    claim(8, alone=False)
    noisy = Webhook.objects.get()
    quiet = Webhook.objects.create(workspace=noisy.workspace, name="quiet", callback_url=noisy.callback_url)
    last = Delivery.objects.latest("pk")
    Delivery.objects.filter(pk=last.pk).update(webhook=quiet)


def measured() -> str:
    from webhooks.queue import claim, hand_back

    times, taken = [], 0
    for _ in range(CLAIMS):
        started = time.perf_counter()
        claimed = claim(512, alone=False)
        times.append(1000 * (time.perf_counter() - started))
        taken = len(claimed.deliveries)
        hand_back(claimed.token, [delivery.pk for delivery in claimed.deliveries], claimed.now)
    return f"{taken:>6} {statistics.median(times):>10.1f} {max(times):>8.1f}"


def now() -> datetime:
    from webhooks.queue import database_now

    return database_now()


if __name__ == "__main__":
    main()
