"""Celery with its defaults, but for the broker."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.settings")

app = Celery("peers", broker=os.environ["PEER_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
app.autodiscover_tasks()
