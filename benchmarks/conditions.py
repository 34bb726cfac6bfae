"""How the contenders are set up and measured, in words: what somebody must know who doubts a figure."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmarks.contenders.field import MANY, SCALES
from benchmarks.environments import REQUIREMENTS, Unavailable, interpreter, versions


def conditions(receiver: str, measured: Collection[str], cache: Path) -> list[str]:
    """Return sentences about the procedure and about each family of contenders; `measured`: the contenders' names."""
    return [*_procedure(receiver), *_ours(), *_peers(measured, cache), *_clients()]


def _procedure(receiver: str) -> list[str]:
    warm_up, _ = SCALES["slow"]
    return [
        f"Receiver: {receiver} on loopback with keep-alive, in one process, which answers 200 at once. "
        f"Payload: 700 characters, about 1 KB with its envelope. Deliveries belong to {MANY} webhooks.",
        "All deliveries are owed before the workers start. The clock runs from the first poll after a warm-up "
        f"({warm_up} deliveries for the slow ones, more for the fast ones) to the first after the last is "
        "recorded as succeeded; polls are 50 ms apart, and what was recorded before is left out.",
        "CPU, SQL statements: per delivery, of all the contender's processes together; the receiver apart. Memory: "
        "the peak of the largest worker process. BEGIN, COMMIT and savepoints are not counted as statements.",
        "p50 / p99: from just before the emit to the whole request at a receiver, one webhook, 20 events a second.",
    ]


def _ours() -> list[str]:
    return [
        "This engine: `benchmarks/settings.py`, which is the project's own settings but for django-q2's poll, each "
        "10 ms. It signs twice and stores each attempt with its headers, response and timing. With django-q2 as "
        "many drains are asked for as there are workers. One webhook alone has at most 8 requests in flight "
        "(IN_FLIGHT_PER_WEBHOOK), so each claim takes few.",
        "One task per delivery: `benchmarks/one_task_per_delivery.py`, a django-q2 cluster of 2 workers with its "
        "ORM broker, polled every 10 ms; it signs the same two signatures and stores the same Attempt. django-q2 "
        'closes the database connection after each task, unless CONN_MAX_AGE is set: the row "connections kept".',
    ]


def _peers(measured: Collection[str], cache: Path) -> list[str]:
    found = [f"{peer}: {_installed(peer, cache)}." for peer in REQUIREMENTS if peer in measured]
    if not found:
        return []
    return [
        *found,
        "Both peers: Celery with `--concurrency 2` (prefork), Redis on a Unix socket without persistence, the "
        "same PostgreSQL server in a database of their own, one secret for each webhook, STORE_EVENTS on: for "
        "each delivery they store its payload and its state, but no response and no timing. Celery closes "
        'the database connection after each task, unless CELERY_DB_REUSE_MAX is set: the row "connections '
        'kept". Emitting is saving a model, for which they put one task per webhook on the queue.',
    ]


def _clients() -> list[str]:
    return [
        "CurlMulti: 64 handles, one thread, the same request again and again. wrk: 2 threads, 32 connections. "
        "Neither signs nor stores anything: they show what receiver and machine bear."
    ]


def _installed(peer: str, cache: Path) -> str:
    try:
        return versions(interpreter(peer, cache))
    except Unavailable as error:
        return str(error)
