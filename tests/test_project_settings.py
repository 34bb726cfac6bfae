"""The project's settings, read in a process of their own."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from project.database import database
from project.secret_key import secret_key
from tests.processes import ROOT

SQLITE = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def test_sqlite_always_has_its_three_options(tmp_path):
    for environ in ({}, {"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3"}):
        config = database(environ, tmp_path / "db.sqlite3")
        assert config["OPTIONS"] == SQLITE
        assert Path(config["NAME"]).parent == tmp_path


def test_postgresql_has_a_pool_in_web_processes_only():
    url = "postgresql://postgres@/postgres?host=/run/postgresql"
    assert "pool" not in database({"DATABASE_URL": url}, Path("unused"))["OPTIONS"]
    web = database({"DATABASE_URL": url, "DATABASE_POOL": "1"}, Path("unused"))
    assert web["OPTIONS"] == {"host": "/run/postgresql", "pool": True}


def test_the_secret_key_is_made_once_and_private(tmp_path):
    path = tmp_path / ".secret_key"
    key = secret_key({}, path)
    assert len(key) == 50
    assert secret_key({}, path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_key({"DJANGO_SECRET_KEY": "given"}, path) == "given"
    assert [entry.name for entry in tmp_path.iterdir()] == [".secret_key"]


def test_redis_without_its_client_is_a_clear_error():
    code = "import importlib.util as u; u.find_spec = lambda name: None; import project.settings"
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:6379/0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "pip install redis" in done.stderr
    assert settings.Q_CLUSTER["orm"] == "default"
