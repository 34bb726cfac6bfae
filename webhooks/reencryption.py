"""After a new encryption key: every stored value under it, so that the older keys can go."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction

from .exceptions import UndecryptableSecret
from .fields import EncryptedText, decrypted, encrypted, is_current
from .models import Webhook
from .models.credentials import ENCRYPTED
from .models.database import alias

# Rows that are locked, and lost to a kill, at once.
BATCH = 200


@dataclass
class Report:
    """How many values there were of each kind, and the ids of the webhooks with one that no key reads."""

    written: int = 0
    current: int = 0
    unreadable: list[int] = field(default_factory=list)


def reencrypt() -> Report:
    """Write each value that is not under the newest key anew, those of deleted webhooks included.

    Each batch is one transaction, and a value is readable before and after it: killed at any moment, it can
    simply be run again. `version` stays: what the values say has not changed.
    """
    report = Report()
    last = 0
    while True:
        with transaction.atomic(using=alias()):
            # Locked, so that no rotation in the meantime is undone.
            rows = Webhook.with_deleted.using(alias()).select_for_update(no_key=True).filter(pk__gt=last)
            batch = list(rows.order_by("pk")[:BATCH])
            for webhook in batch:
                _reencrypt(webhook, report)
        if not batch:
            return report
        last = batch[-1].pk


def _reencrypt(webhook: Webhook, report: Report) -> None:
    columns: dict[str, EncryptedText] = {}
    for name in ENCRYPTED:
        stored = webhook.__dict__[name]
        if not stored:
            continue
        if is_current(stored):
            report.current += 1
            continue
        try:
            columns[name] = encrypted(decrypted(stored))
        except UndecryptableSecret:
            if webhook.pk not in report.unreadable:
                report.unreadable.append(webhook.pk)
    if columns:
        Webhook.with_deleted.using(alias()).filter(pk=webhook.pk).update(**columns)
        report.written += len(columns)
