"""Virtual environments of the peers, made once in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

_COMMON = ("django>=5.2,<6", "celery[redis]>=5.5,<6", "psycopg[binary]>=3.2", "requests>=2.32")
REQUIREMENTS = {
    "django-webhook": ("django-webhook==0.0.15", *_COMMON),
    "django-webhook2": ("django-webhook2==0.11.0", *_COMMON),
}
_SECONDS = 300
_NAMED = ("django-webhook", "django-webhook2", "celery", "redis", "django", "psycopg", "requests")


class Unavailable(Exception):
    """Something could not be measured, or not in full; the message says why."""

    def __init__(self, reason: str, printed: str = "") -> None:
        super().__init__(reason)
        self.printed = printed
        """What it had said until then."""


def interpreter(peer: str, cache: Path) -> Path:
    """Return the Python of a peer's environment, making it if it is not there."""
    folder = cache / "environments" / f"{peer}-{sys.version_info.major}.{sys.version_info.minor}"
    noted, wanted = folder / "requirements", "\n".join(REQUIREMENTS[peer])
    python = folder / "bin" / "python"
    if noted.exists() and noted.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{peer} could not be installed") from error
    noted.write_text(wanted)
    return python


def versions(python: Path) -> str:
    """Return the versions that matter of what is installed beside an interpreter, in words."""
    listing = _run([str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"])
    installed = {entry["name"].lower(): entry["version"] for entry in json.loads(listing)}
    return ", ".join(f"{name} {installed[name]}" for name in _NAMED if name in installed)


def _run(command: list[str]) -> str:
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return ended.stdout
