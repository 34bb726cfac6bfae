"""How long people wait for the deletion of a webhook that is owed a million deliveries, and how fast these then end;
and for that of a workspace with as many.

    python -m benchmarks.deletion [--rows 1000000]

On PostgreSQL; over the API and in the admin, through Django's test client.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.backlog import owe
from benchmarks.stage import migrate, parser_of, postgresql, scratch

if TYPE_CHECKING:
    from django.test import Client

    from webhooks.models import Webhook

CLAIMS = 10


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with scratch() as folder, postgresql(folder):
        migrate()
        for face, delete in (("API", by_api), ("admin", by_admin)):
            print(f"{face}: {measured(options.rows, delete)}", flush=True)
        print(f"workspace: {measured_workspace(options.rows)}", flush=True)


def measured(rows: int, delete: Callable[[Client, Webhook], int]) -> str:
    from django.test import Client

    from webhooks.models import Webhook
    from webhooks.queue import claim

    owe(rows, 1)
    webhook = Webhook.objects.get()
    client = Client(headers={"host": "localhost"})
    client.force_login(superuser())
    started = time.perf_counter()
    status = delete(client, webhook)
    elapsed = time.perf_counter() - started
    started = time.perf_counter()
    ended = sum(claim(512, alone=True).touched for _ in range(CLAIMS))
    rate = ended / (time.perf_counter() - started)
    return f"{rows:,} deliveries, {1000 * elapsed:.0f} ms (HTTP {status}); then {rate:,.0f} of them ended a second"


def measured_workspace(rows: int) -> str:
    from django.test import Client

    from webhooks.models import Delivery
    from workspace.models import Workspace

    owe(rows, 1)
    workspace = Workspace.objects.get()
    client = Client(headers={"host": "localhost"})
    client.force_login(superuser())
    started = time.perf_counter()
    status = client.post(f"/w/{workspace.slug}/delete/", {"name": workspace.name}).status_code
    elapsed = time.perf_counter() - started
    assert not Delivery.objects.exists()
    return f"{rows:,} deliveries, {elapsed:.1f} s (HTTP {status})"


def superuser() -> Any:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    return users.filter(username="bench").first() or users.create_superuser("bench", "", "bench")


def by_api(client: Client, webhook: Webhook) -> int:
    url = f"/api/v1/workspaces/{webhook.workspace.slug}/webhooks/{webhook.pk}/"
    return client.delete(url).status_code


def by_admin(client: Client, webhook: Webhook) -> int:
    """Both pages: the one that asks, and the one that is answered."""
    from django.urls import reverse

    url = reverse("admin:webhooks_webhook_delete", args=[webhook.pk])
    assert client.get(url).status_code == 200
    return client.post(url, {"post": "yes"}).status_code


if __name__ == "__main__":
    main()
