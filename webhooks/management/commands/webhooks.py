"""manage.py webhooks <verb>: what an operator runs by hand or by cron."""

from __future__ import annotations

import math
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webhooks import delivering, engine, queue, reencryption, retention


class Command(BaseCommand):
    help = "Send, resume and clean up webhook deliveries."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
        verbs.add_parser("drain", help="send what is due, then return")
        verbs.add_parser("sweep", help="resume what waited for its webhook, then send what is due")
        verbs.add_parser("deliver", help="send what is due, as soon as it is, until the process is stopped")
        prune = verbs.add_parser("prune", help="remove what ended long ago")
        prune.add_argument("--days", type=_days, help="keep this many days (default: RETENTION_DAYS)")
        verbs.add_parser(
            "reencrypt", help="write every secret under the newest key, so that older ones can go"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "prune":
            self.stdout.write(f"{retention.prune(options['days'])} deliveries removed")
            return
        if options["verb"] == "reencrypt":
            self._reencrypt()
            return
        if options["verb"] == "deliver":
            self.stdout.write(f"{delivering.deliver()} attempts recorded")
            return
        if options["verb"] == "sweep":
            self.stdout.write(f"{queue.unpark()} deliveries resumed")
            queue.remind()
        self.stdout.write(f"{engine.drain(budget=math.inf, linger=0)} attempts recorded")

    def _reencrypt(self) -> None:
        found = reencryption.reencrypt()
        self.stdout.write(f"{found.written} values re-encrypted, {found.current} were under the newest key")
        if found.unreadable:
            webhooks = ", ".join(map(str, found.unreadable))
            raise CommandError(
                f"Values of these webhooks fit no configured key and were left as they are: {webhooks}. "
                "Bring their key back into ENCRYPTION_KEYS, or replace the values."
            )


def _days(value: str) -> float:
    days = float(value)
    if not days >= 0:
        raise ValueError(value)
    return days
