"""A webhook's secret: rotate, finish the rotation, remove."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from .. import audit, queue, signing
from ..audit import note
from ..conf import settings
from ..limits import LONGEST_OVERLAP
from ..models import Webhook
from ..models.database import alias
from . import rows

COLUMNS = ("secret", "previous_secret", "previous_secret_expires_at")


@sensitive_variables()
def rotate_secret(
    webhook: Webhook, *, by: Any, secret: str | None = None, overlap: float | None = None, via: str = ""
) -> str:
    """Give the webhook a new secret, generated when none is given, and return it.

    The secret that receivers know goes on signing beside it for `overlap` seconds (None: ROTATION_OVERLAP; 0:
    no longer). Rotating again during an overlap still keeps that one: nobody need know the one in between. One
    that cannot be decrypted is replaced at once. Raises ValidationError for a secret that cannot sign, or an
    overlap out of bounds.
    """
    secret = signing.generate_secret() if secret is None else secret
    overlap = settings.ROTATION_OVERLAP if overlap is None else overlap
    _check_rotation(secret, overlap)
    with transaction.atomic(using=alias()):
        stored = rows.locked(webhook)
        now = queue.database_now()
        stored.replace_secret(secret, now=now, until=now + timedelta(seconds=overlap))
        stored.save(update_fields=COLUMNS, using=alias())
        note([stored], audit.rotated(stored.previous_secret_expires_at), by, via)
    rows.copy(stored, webhook)
    return secret


def finish_rotation(webhook: Webhook, *, by: Any, via: str = "") -> bool:
    """End the overlap now: only the new secret signs. Return whether there was one to end."""
    with transaction.atomic(using=alias()):
        stored = rows.locked(webhook)
        rotating = stored.is_rotating(queue.database_now())
        if rotating:
            stored.forget_previous_secret()
            stored.save(update_fields=COLUMNS[1:], using=alias())
            note([stored], "Rotation finished: only the new secret signs.", by, via)
    rows.copy(stored, webhook)
    return rotating


def remove_secret(webhook: Webhook, *, by: Any, via: str = "") -> None:
    """Send unsigned from now on."""
    webhook.secret = ""
    webhook.forget_previous_secret()
    rows.save(webhook, COLUMNS, "Secret removed.", by, via)


@sensitive_variables()
def _check_rotation(secret: str, overlap: float) -> None:
    # Asked of a draft: a refused secret must not stay on the caller's webhook.
    draft = Webhook(secret=secret)
    draft.clean_fields(exclude={field.name for field in Webhook._meta.fields} - {"secret"})
    error = draft.secret_error() if secret else "A new secret cannot be empty."
    if error:
        raise ValidationError({"secret": error})
    if not 0 <= overlap <= LONGEST_OVERLAP:
        raise ValidationError({"overlap": "The former secret signs for 0 seconds to 30 days."})
