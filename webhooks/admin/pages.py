"""Pages of a webhook beside its form."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from ..exceptions import ConcurrentChange
from ..models import Webhook
from .scope import ScopedAdmin


def told(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer what somebody else did in the meantime with a sentence, on the page as it is now."""

    @wraps(view)
    def wrapped(model_admin: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(model_admin, request, *args, **kwargs)
        except ConcurrentChange as error:
            messages.error(request, str(error))
        except ValidationError as error:
            for message in error.messages:
                messages.error(request, message)
        return HttpResponseRedirect(request.get_full_path())

    return wrapped


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
