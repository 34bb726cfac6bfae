"""The project's SECRET_KEY."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def secret_key(environ: Mapping[str, str], path: Path) -> str:
    """Return DJANGO_SECRET_KEY, or the key kept in `path`, which is made on the first call.

    The file is private (0600) and complete from the moment it has its name: processes that start
    together all read the same key.
    """
    if environ.get("DJANGO_SECRET_KEY"):
        return environ["DJANGO_SECRET_KEY"]
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(get_random_secret_key())
        try:
            os.link(draft, path)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
