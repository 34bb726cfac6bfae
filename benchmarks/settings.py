"""The project's settings for benchmarks: loopback allowed, quiet, statements counted where that is asked for."""

import os

os.environ.setdefault("DJANGO_SECRET_KEY", "only-for-benchmarks")

from benchmarks.statements import count_statements
from project.settings import *  # noqa: F403
from project.settings import DATABASES, Q_CLUSTER, WEBHOOKS

count_statements()

WEBHOOKS = {**WEBHOOKS, "ALLOWED_NETWORKS": ["127.0.0.0/8"], "RETRY_SCHEDULE": [0.05]}
WEBHOOKS["WAKE"] = os.environ.get("BENCHMARK_WAKE", "django-q2")
Q_CLUSTER = {
    **Q_CLUSTER,
    "log_level": "ERROR",
    "poll": 0.01,
    "workers": int(os.environ.get("BENCHMARK_WORKERS", "2")),
}
DATABASES["default"]["CONN_MAX_AGE"] = int(os.environ.get("BENCHMARK_CONN_MAX_AGE", "0"))
