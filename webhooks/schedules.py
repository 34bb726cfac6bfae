"""The two schedules that django-q2 keeps for this app, made or mended after each migrate."""

from __future__ import annotations

from typing import Any

from django.db import router
from django_q.models import Schedule

from .conf import settings

# name → (function, minutes between two runs)
SCHEDULES = {
    "webhooks-sweep": ("webhooks.tasks.sweep", 1),
    "webhooks-prune": ("webhooks.tasks.prune", 24 * 60),
}


def ensure(using: str, **_: Any) -> None:
    """Make the schedules as they should be: in the cluster that sends, or nobody would run them."""
    if router.db_for_write(Schedule) != using:
        return
    for name, (function, minutes) in SCHEDULES.items():
        Schedule.objects.using(using).update_or_create(
            name=name,
            defaults={
                "func": function,
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "repeats": -1,
                "cluster": settings.CLUSTER,
            },
        )
