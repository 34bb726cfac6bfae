"""Small pieces of HTML that several lists show."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString


def badge(kind: str, text: str) -> SafeString:
    """Return a dot and a word; the style sheet colours the dot by `kind`."""
    return format_html('<span class="webhooks-badge webhooks-{}">{}</span>', kind, text)


def when(moment: datetime | None) -> SafeString | str:
    """Return a moment in the reader's time zone, to the second; "–" for none."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), date_format(local, "Y-m-d H:i:s"))
