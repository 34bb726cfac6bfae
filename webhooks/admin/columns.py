"""What lists and pages say of a webhook."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import durations, limits
from ..catalogue import ALL
from ..conf import settings
from ..models import Delivery, Webhook
from .badges import badge, when
from .health import health_badge

PATTERNS_SHOWN = 3


class WebhookColumns(admin.ModelAdmin):
    """Columns of the list, and read-only fields of the form. No secret value is among them."""

    @admin.display(description=gettext_lazy("Status"))
    def status(self, obj: Webhook) -> SafeString:
        return health_badge(obj)

    @admin.display(description=gettext_lazy("Callback URL"))
    def callback_url_shown(self, obj: Webhook) -> SafeString:
        return format_html('<span class="webhooks-url">{} {}</span>', obj.method, obj.callback_url)

    @admin.display(description=gettext_lazy("Events"))
    def events_shown(self, obj: Webhook) -> str:
        names = [named(pattern) for pattern in obj.patterns]
        if len(names) <= PATTERNS_SHOWN:
            return ", ".join(names)
        more = _("and %d more") % (len(names) - PATTERNS_SHOWN + 1)
        return f"{', '.join(names[: PATTERNS_SHOWN - 1])} {more}"

    @admin.display(description=gettext_lazy("Events"))
    def events_all(self, obj: Webhook) -> SafeString:
        return format_html_join("", "<div>{}</div>", ((named(pattern),) for pattern in obj.patterns))

    @admin.display(description=gettext_lazy("Secret"))
    def secret_state(self, obj: Webhook) -> str:
        return _("set") if obj.has_secret else _("not set")

    @admin.display(description=gettext_lazy("Secret"))
    def secret_links(self, obj: Webhook) -> SafeString:
        """Say whether there is one, and lead to what can be done about it."""
        until = obj.rotating_until
        text: SafeString | str = _("set") if obj.has_secret else _("not set")
        if until is not None:
            text = format_html("{} {}", _("set; the former one also signs until"), when(until))
        rotate = page("secret", obj)
        links = [(rotate, _("Rotate"))] if obj.has_secret else [(rotate, _("Set a secret"))]
        if until is not None:
            links.append((page("secret_finish", obj), _("Finish rotation now")))
        if obj.has_secret:
            links.append((f"{rotate}?overlap=0", _("Replace at once")))
            links.append((page("secret_remove", obj), _("Remove")))
        return format_html(
            '<span class="webhooks-state">{}</span> <span class="webhooks-links">{}</span>',
            text,
            format_html_join(" ", '<a href="{}">{}</a>', links),
        )

    @admin.display(description=gettext_lazy("Headers"))
    def headers_shown(self, obj: Webhook) -> SafeString | str:
        lines = ((f"{name}: {mask}",) for name, mask in obj.masked_headers.items())
        return format_html_join("", "<div>{}</div>", lines) or _("none")

    @admin.display(description=gettext_lazy("Authorization"))
    def authorization_shown(self, obj: Webhook) -> str:
        return obj.masked_authorization or _("none")

    @admin.display(description=gettext_lazy("Retry schedule"))
    def retry_schedule_shown(self, obj: Webhook) -> str:
        return durations.text(limits.delays_of(obj.retry_schedule, settings.RETRY_SCHEDULE))

    @admin.display(description=gettext_lazy("Last delivery"))
    def last_delivery(self, obj: Any) -> SafeString | str:
        if obj.last_status is None:
            return _("none yet")
        link = reverse("admin:webhooks_delivery_changelist", query={"webhook__id__exact": obj.pk})
        status = badge(obj.last_status, str(Delivery.Status(obj.last_status).label))
        return format_html('<a href="{}">{}</a> {}', link, status, when(obj.last_created_at))


def page(name: str, webhook: Webhook) -> str:
    return reverse(f"admin:webhooks_webhook_{name}", args=[webhook.pk])


def named(pattern: str) -> str:
    return _("All events") if pattern == ALL else pattern
