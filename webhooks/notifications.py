"""E-mails to a workspace's owners: a webhook fails, is disabled, or delivers again. A task of its own.

At least once: a notice is taken under a lease and cleared after the mail. Whoever is killed in between, or finds
no mail server, leaves it to be mailed when the lease ends.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from django.core.mail import EmailMessage
from django.db import models, transaction
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from . import access, queue
from .conf import settings
from .health import Notice
from .models import Webhook, WebhookState
from .models.database import alias
from .origin import origin
from .standing import disabled_on, last_error

logger = logging.getLogger("webhooks")

LEASE = timedelta(minutes=5)


def send_due(now: datetime | None = None) -> int:
    """Mail the notices that are due and return how many mails left.

    Ends when none is due or after DRAIN_BUDGET: the rest stays due. `now`: None = the database's clock.
    """
    sent = 0
    end = time.monotonic() + settings.DRAIN_BUDGET
    while time.monotonic() < end:
        moment = now or queue.database_now()
        state = _taken(moment)
        if state is None:
            break
        sent += _settled(state, moment)
    return sent


def _taken(now: datetime) -> WebhookState | None:
    """Take one due notice under a lease, so that no other task mails it too."""
    if not _due(now).exists():
        return None  # without the write lock that SQLite's transactions begin with
    with transaction.atomic(using=alias()):
        rows = _due(now).select_for_update(skip_locked=True, of=("self",))
        state = rows.select_related("webhook__workspace").order_by("notice_due_at").first()
        if state is not None:
            state.notice_due_at = now + LEASE
            state.save(update_fields=["notice_due_at"], using=alias())
    return state


def _settled(state: WebhookState, now: datetime) -> bool:
    """Mail a notice unless nobody needs it, and clear it. Return whether a mail left."""
    mailed = False
    if _is_news(state):
        try:
            mailed = _mailed(state, now)
        except Exception:
            logger.exception(
                "webhook %s: the notice “%s” could not be mailed.", state.webhook_id, state.notice
            )
            return False
    # Only while it is the notice that was taken: a newer one is due by itself.
    mine = WebhookState.objects.using(alias()).filter(pk=state.pk, notice=state.notice)
    mine.filter(notice_due_at=state.notice_due_at).update(notice="", notice_due_at=None)
    return mailed


def _is_news(state: WebhookState) -> bool:
    """Return whether the notice still holds: since it fell due a person may have acted."""
    webhook = state.webhook
    if webhook.deleted_at is not None:
        return False
    if state.notice == Notice.DISABLED:
        return not webhook.is_active
    if state.notice == Notice.RECOVERED:
        return True
    return webhook.is_active and state.failing_since is not None


def _mailed(state: WebhookState, now: datetime) -> bool:
    workspace = state.webhook.workspace
    # Owners of one workspace know each other: one message, which each can answer to all.
    recipients = list(dict.fromkeys(access.recipients(workspace)))
    if not recipients:
        logger.warning("webhook %s: nobody to mail the notice “%s” to.", state.webhook_id, state.notice)
        return False
    return bool(_message(state, recipients).send())


def _message(state: WebhookState, recipients: list[str]) -> EmailMessage:
    context = _context(state)
    subject = render_to_string(f"webhooks/mail/{state.notice}.subject.txt", context)
    return EmailMessage(
        subject=_line(subject),
        body=render_to_string(f"webhooks/mail/{state.notice}.txt", context),
        to=recipients,
        headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no out-of-office answers
    )


def _context(state: WebhookState) -> dict[str, Any]:
    webhook = state.webhook
    return {
        "name": _line(webhook.name),
        "workspace": _line(str(webhook.workspace)),
        "receiver": origin(webhook.callback_url),
        "link": _link(webhook),
        "failures": state.consecutive_failures,
        "since": _utc(state.failing_since),
        "error": last_error(state),
        "status_code": state.status_code,
        "paused_until": _utc(state.paused_until),
        "disabled_on": _utc(disabled_on(state, timedelta(seconds=settings.DISABLE_AFTER))),
        "disabled_at": _utc(state.disabled_at),
        "disabled_because": state.disabled_because,
    }


def _link(webhook: Webhook) -> str:
    """Return the address of the webhook's page; "" where the site's own address is not known, or has no admin."""
    if not settings.BASE_URL:
        return ""
    try:
        path = _page(webhook)
    except NoReverseMatch:
        return ""
    return settings.BASE_URL.rstrip("/") + path


def _page(webhook: Webhook) -> str:
    if settings.WEBHOOK_PAGE is None:
        return reverse("admin:webhooks_webhook_change", args=[webhook.pk])
    path: str = import_string(settings.WEBHOOK_PAGE)(webhook)
    return path


def _line(text: str) -> str:
    """Return the text on one line: a line break would begin a header of its own, or a paragraph."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _utc(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _due(now: datetime) -> models.QuerySet[WebhookState]:
    return WebhookState.objects.using(alias()).filter(notice_due_at__lte=now)
