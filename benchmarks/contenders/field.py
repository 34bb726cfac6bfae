"""The field: every contender, with how it is set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MANY = 200
# In place of an argument: the path of wrk.
WRK = "{wrk}"


@dataclass(frozen=True, kw_only=True)
class Contender:
    name: str
    """What --only takes."""
    title: str
    module: str
    """The module of `benchmarks.contenders` that measures it."""
    arguments: tuple[str, ...] = ()
    database: str = "postgresql"
    """postgresql, sqlite, or nothing."""
    processes: int = 2
    webhooks: int = MANY
    scale: str = "fast"
    """How many deliveries it gets: see `SCALES`."""
    peer: str = ""
    """The environment that it runs in, if not this one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    low_load: bool = False
    """Whether the time from emit to the receiver is measured too."""


# Warm-up and timed deliveries: enough for a few seconds each.
SCALES = {
    "fast": (2_000, 20_000),
    "sqlite": (1_000, 8_000),
    "alone": (500, 4_000),
    "slow": (40, 360),
    "client": (2_000, 60_000),
}
QUICK_SCALES = {
    "fast": (400, 2_000),
    "sqlite": (200, 1_000),
    "alone": (100, 500),
    "slow": (20, 60),
    "client": (500, 5_000),
}

CONTENDERS = (
    Contender(
        name="qcluster-1",
        title="this engine, django-q2 tasks, 1 process",
        module="engine",
        arguments=("qcluster",),
        processes=1,
    ),
    Contender(
        name="qcluster-2",
        title="this engine, django-q2 tasks, 2 processes",
        module="engine",
        arguments=("qcluster",),
        low_load=True,
    ),
    Contender(
        name="deliver-1",
        title="this engine, `webhooks deliver`, 1 process",
        module="engine",
        arguments=("deliver",),
        processes=1,
    ),
    Contender(
        name="deliver-2",
        title="this engine, `webhooks deliver`, 2 processes",
        module="engine",
        arguments=("deliver",),
        low_load=True,
    ),
    Contender(
        name="one-webhook",
        title="this engine, `webhooks deliver`, one webhook alone",
        module="engine",
        arguments=("deliver",),
        webhooks=1,
        scale="alone",
    ),
    Contender(
        name="sqlite-1",
        title="this engine on SQLite, django-q2 tasks, 1 process",
        module="engine",
        arguments=("qcluster",),
        database="sqlite",
        processes=1,
        scale="sqlite",
    ),
    Contender(
        name="sqlite-2",
        title="this engine on SQLite, django-q2 tasks, 2 processes",
        module="engine",
        arguments=("qcluster",),
        database="sqlite",
        scale="sqlite",
        low_load=True,
    ),
    Contender(
        name="tasks",
        title="one task per delivery",
        module="tasks",
        scale="slow",
        low_load=True,
    ),
    Contender(
        name="tasks-kept",
        title="one task per delivery, connections kept",
        module="tasks",
        scale="slow",
        environment={"BENCHMARK_CONN_MAX_AGE": "60"},
    ),
    Contender(
        name="tasks-sqlite",
        title="one task per delivery on SQLite",
        module="tasks",
        database="sqlite",
        scale="slow",
    ),
    Contender(
        name="django-webhook",
        title="django-webhook, Celery + Redis",
        module="celery_task",
        scale="slow",
        peer="django-webhook",
        low_load=True,
    ),
    Contender(
        name="django-webhook-kept",
        title="django-webhook, Celery + Redis, connections kept",
        module="celery_task",
        scale="slow",
        peer="django-webhook",
        environment={"PEER_TASKS_PER_CONNECTION": "1000000"},
    ),
    Contender(
        name="django-webhook2",
        title="django-webhook2, Celery + Redis",
        module="celery_task",
        scale="slow",
        peer="django-webhook2",
        low_load=True,
    ),
    Contender(
        name="curl",
        title="bare CurlMulti: no queue, no signature",
        module="client",
        arguments=("curl",),
        database="",
        processes=1,
        scale="client",
    ),
    Contender(
        name="wrk",
        title="wrk, two threads",
        module="client",
        arguments=("wrk", WRK),
        database="",
        processes=1,
        scale="client",
    ),
)
