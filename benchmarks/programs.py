"""Programs that are not Python's: from the PATH, or else from Debian's packages, unpacked in the cache."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The packages that hold a program and the libraries that a plain system lacks.
PACKAGES = {
    "nginx": ("nginx",),
    "wrk": ("wrk", "libluajit-5.1-2"),
    "redis-server": ("redis-server", "redis-tools", "libjemalloc2", "liblzf1"),
}
_SECONDS = 120


@dataclass(frozen=True)
class Program:
    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it needs beside this process's environment."""


def found(name: str) -> Program | None:
    """Return an installed program."""
    path = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    return Program(path) if path else None


def program(name: str, cache: Path) -> Program | None:
    """Return where a program is, or None where there is none and none can be had."""
    if installed := found(name):
        return installed
    folder = cache / "debian" / name
    if not folder.exists() and not _unpack(PACKAGES[name], folder):
        return None
    for place in ("usr/bin", "usr/sbin"):
        if (folder / place / name).exists():
            libraries = folder / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
            return Program(str(folder / place / name), {"LD_LIBRARY_PATH": str(libraries)})
    return None


def _unpack(packages: tuple[str, ...], folder: Path) -> bool:
    """Download and unpack the packages; return False where that is not possible."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    unfinished = folder.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _run(["apt-get", "download", *packages], unfinished)
        for package in unfinished.glob("*.deb"):
            _run(["dpkg-deb", "-x", package.name, "."], unfinished)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    unfinished.rename(folder)
    return True


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS)
