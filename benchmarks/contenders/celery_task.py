"""django-webhook and django-webhook2: a Celery task per delivery, Redis as the broker. Runs in a peer's environment.

PYTHON -m benchmarks.contenders.celery_task ASSIGNMENT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from benchmarks.contenders.queue import main, mark
from benchmarks.stage import PAYLOAD

TOPIC = "peers.Article/create"


class CeleryTasks:
    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.webhooks = 0
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"

    def prepare(self, receiver: str, webhooks: int) -> None:
        import django

        import benchmarks.peers.celery_app

        django.setup()
        from django.core.management import call_command
        from django_webhook.models import (  # type: ignore[import-not-found]
            Webhook,
            WebhookSecret,
            WebhookTopic,
        )

        call_command("migrate", verbosity=0, run_syncdb=True)
        call_command("flush", verbosity=0, interactive=False)
        benchmarks.peers.celery_app.app.control.purge()
        topic, _ = WebhookTopic.objects.get_or_create(name=TOPIC)
        self.webhooks = webhooks
        for number in range(webhooks):
            webhook = Webhook.objects.create(url=receiver)
            webhook.topics.add(topic)
            WebhookSecret.objects.create(webhook=webhook, token=f"secret-of-{number:04}")

    def owe(self, count: int) -> int:
        from benchmarks.peers.models import Article

        events = -(-count // self.webhooks)
        for _ in range(events):
            Article(**PAYLOAD).save()
        return events * self.webhooks

    def emit(self, number: int) -> None:
        from benchmarks.peers.models import Article

        Article(text=mark(number)).save()

    def recorded(self) -> int:
        from django_webhook.models import WebhookEvent

        return WebhookEvent.objects.filter(status="SUCCESS").count()

    def commands(self) -> list[list[str]]:
        celery = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"]
        return [[*celery, "--concurrency", str(self.processes), "--loglevel", "WARNING"]]

    def environment(self) -> Mapping[str, str]:
        return {}


if __name__ == "__main__":
    main(CeleryTasks)
