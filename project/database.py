"""The project's database, from DATABASE_URL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dj_database_url

# Without all three, concurrent writers lose work to "database is locked".
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def database(environ: Mapping[str, str], default: Path) -> dict[str, Any]:
    """Return Django's settings for DATABASE_URL, or for the SQLite file `default`.

    DATABASE_POOL=1, set by `wsgi.py` and `asgi.py`, gives a web process a psycopg pool. Nothing else may
    have one: django-q2 forks its workers from a process whose pool would be open, and they would share sockets.
    """
    url = environ.get("DATABASE_URL") or f"sqlite:///{default}"
    config: dict[str, Any] = dict(dj_database_url.parse(url))
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"].endswith("sqlite3"):
        options.update(SQLITE_OPTIONS)
    elif environ.get("DATABASE_POOL") == "1":
        options["pool"] = True
    return config
