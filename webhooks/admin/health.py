"""How a webhook stands: the badge in the list, the banner on its page, and the button that tries it now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import actions
from ..conf import settings
from ..models import Webhook, WebhookState
from ..standing import Kind, clock, disabled_on, last_error, standing, state_of
from .badges import badge
from .pages import OwnPages


class HealthPages(OwnPages):
    """To be mixed into the webhooks' admin."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.resume_view)
        return [path("<path:object_id>/resume/", view, name="webhooks_webhook_resume"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if context["original"] is not None:
            # Read again: a form with errors has left its values on the object.
            webhook = Webhook.objects.select_related("state").get(pk=context["original"].pk)
            context["banner"] = banner(webhook, timezone.now())
            context["may_resume"] = self.has_change_permission(request, webhook)
        return super().render_change_form(request, context, *args, **kwargs)

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the pause of a webhook."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        webhook = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, webhook):
            raise PermissionDenied
        if actions.resume(webhook, by=request.user):
            messages.success(request, _("The pause is over: the next delivery is tried now."))
        else:
            messages.warning(request, _("This webhook is not paused."))
        return self._back(webhook)


def banner(webhook: Webhook, now: datetime) -> dict[str, Any] | None:
    """Return what the webhook's page says above the form; None when all is well."""
    state = state_of(webhook)
    stands = standing(webhook, state, now)
    if state is None or stands.is_well:
        return None
    return {
        "standing": stands,
        "badge": badge(stands.kind.value, stands.label),
        "error": last_error(state),
        "status_code": state.status_code,
        "deadline": _deadline(state, now) if webhook.is_active and state.paused_until else "",
        "is_paused": stands.kind == Kind.PAUSED,
    }


def _deadline(state: WebhookState, now: datetime) -> str:
    moment = disabled_on(state, timedelta(seconds=settings.DISABLE_AFTER))
    if moment is None:
        return ""
    return _("If nothing succeeds, this webhook is disabled at %(time)s.") % {"time": clock(moment, now)}


def health_badge(webhook: Webhook) -> SafeString:
    """Return the word for the list; its rows are loaded with their state."""
    stands = standing(webhook, state_of(webhook), timezone.now())
    return badge(stands.kind.value, stands.label)
