"""Celery with its defaults, but for the broker and, where that is asked for, the life of database connections."""

import os

from celery import Celery  # type: ignore[import-not-found]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.settings")

app = Celery("peers", broker=os.environ["PEER_BROKER"])
app.conf.task_ignore_result = True
# By default Celery closes the database connection after each task, whatever CONN_MAX_AGE says.
app.conf["CELERY_DB_REUSE_MAX"] = int(os.environ.get("PEER_TASKS_PER_CONNECTION", "0"))
app.conf.broker_connection_retry_on_startup = True
app.autodiscover_tasks()
