"""What a webhook missed: the page that says how much it is, and sends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import actions
from ..models import Webhook
from ..standing import state_of
from .pages import OwnPages, told

T = TypeVar("T")

# Since when, where nobody knows of a failure.
LAST_DAY = timedelta(hours=24)


class RecoveryForm(forms.Form):
    since = forms.DateTimeField(
        label=gettext_lazy("Since"),
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": "any", "class": "vTextField"}, format="%Y-%m-%dT%H:%M"
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        zone = timezone.get_current_timezone_name()
        self.fields["since"].help_text = _("Date and time in the time zone %(zone)s.") % {"zone": zone}

    def clean_since(self) -> datetime:
        # What is shown of it must be a time in every zone.
        return max(self.cleaned_data["since"], actions.OLDEST)


class RecoveryPages(OwnPages):
    """To be mixed into the webhooks' admin."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.recover_view)
        return [path("<path:object_id>/recover/", view, name="webhooks_webhook_recover"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        webhook = context["original"]
        if webhook is not None and self.has_recover_permission(request, webhook):
            # Asked again: a form with errors has left its values on the object.
            context["may_recover"] = Webhook.objects.active().filter(pk=webhook.pk).exists()
        return super().render_change_form(request, context, *args, **kwargs)

    @told
    def recover_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask since when, say how much was missed since then, and send it once that is confirmed."""
        webhook = self.get_object(request, unquote(object_id))
        if not self.has_recover_permission(request, webhook):
            raise PermissionDenied
        if not webhook.is_active:
            messages.error(request, actions.INACTIVE)
            return self._back(webhook)
        if request.method != "POST":
            return self._recovery_page(request, webhook, RecoveryForm(initial={"since": _default(webhook)}))
        form = RecoveryForm(request.POST)
        if "confirm" not in request.POST:
            return self._recovery_page(request, webhook, form, _asked(form, partial(actions.missed, webhook)))
        count = _asked(form, partial(actions.recover, webhook, by=request.user))
        if count is None:
            return self._recovery_page(request, webhook, form)
        text = ngettext("%d delivery was recovered.", "%d deliveries were recovered.", count)
        messages.success(request, text % count)
        return self._back(webhook)

    def _recovery_page(
        self,
        request: HttpRequest,
        webhook: Webhook,
        form: RecoveryForm,
        missed: actions.Missed | None = None,
    ) -> HttpResponse:
        title = _("Recover what was missed")
        return self._page(request, webhook, "recover", title, form=form, missed=missed, media=form.media)

    def has_recover_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._granted(request, obj, "recover")


def _default(webhook: Webhook) -> Any:
    state = state_of(webhook)
    failing_since = None if state is None else state.failing_since
    return failing_since or timezone.now() - LAST_DAY


def _asked(form: RecoveryForm, action: Callable[..., T]) -> T | None:
    """Return what the action says since the time in the form; None if the form has an error, which it then shows."""
    if not form.is_valid():
        return None
    try:
        return action(since=form.cleaned_data["since"])
    except ValidationError as error:
        form.add_error(None, error)
        return None
