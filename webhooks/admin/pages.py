"""Pages of a webhook beside its form."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from ..models import Webhook
from .scope import ScopedAdmin


class OwnPages(ScopedAdmin):
    """To be mixed into the webhooks' admin."""

    def _back(self, webhook: Webhook) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:webhooks_webhook_change", args=[webhook.pk]))

    def _page(
        self, request: HttpRequest, webhook: Webhook, name: str, title: str, **context: Any
    ) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/webhooks/webhook/{name}.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "subtitle": str(webhook),
                "opts": self.opts,
                "original": webhook,
                **context,
            },
        )
