"""A webhook's secret: set, rotate, remove. It is never shown, but once when it was generated here."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from .. import actions
from ..models import Webhook
from .forms import SecretForm
from .pages import OwnPages, told


class SecretPages(OwnPages):
    """The pages beside the webhook's form. Every admin page is sent with `Cache-Control: no-store`."""

    @told
    @method_decorator(sensitive_post_parameters("secret"))
    @sensitive_variables()
    def secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a new secret; generate one when none is given, and show that one in this response only."""
        webhook = self._webhook(request, object_id)
        form = self._secret_form(request, webhook)
        if request.method != "POST" or not form.is_valid():
            title = _("Rotate secret") if webhook.has_secret else _("Set a secret")
            return self._page(request, webhook, "secret_form", title, form=form, media=form.media)
        given = form.cleaned_data["secret"]
        overlap = form.cleaned_data.get("overlap")
        secret = actions.rotate_secret(webhook, by=request.user, secret=given or None, overlap=overlap)
        if given:
            messages.success(request, _("The secret was replaced."))
            return self._back(webhook)
        return self._page(
            request, webhook, "secret_generated", _("New secret"), secret=secret, media=form.media
        )

    def _secret_form(self, request: HttpRequest, webhook: Webhook) -> SecretForm:
        if request.method == "POST":
            return SecretForm(request.POST, overlaps=webhook.has_secret)
        initial = {"overlap": request.GET["overlap"]} if "overlap" in request.GET else None
        return SecretForm(initial=initial, overlaps=webhook.has_secret)

    @told
    def finish_rotation_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then let the new secret alone sign."""
        webhook = self._webhook(request, object_id)
        if request.method != "POST":
            return self._page(request, webhook, "secret_finish", _("Finish rotation"))
        if actions.finish_rotation(webhook, by=request.user):
            messages.success(request, _("The rotation is finished: only the new secret signs."))
        else:
            messages.warning(request, _("No rotation is under way."))
        return self._back(webhook)

    @told
    def remove_secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then remove: requests are sent without a signature from then on."""
        webhook = self._webhook(request, object_id)
        if request.method != "POST":
            return self._page(request, webhook, "secret_remove", _("Remove secret"))
        actions.remove_secret(webhook, by=request.user)
        messages.success(request, _("The secret was removed. Requests are no longer signed."))
        return self._back(webhook)

    def _webhook(self, request: HttpRequest, object_id: str) -> Webhook:
        webhook: Any = self.get_object(request, unquote(object_id))
        if not self.has_secret_permission(request, webhook):
            raise PermissionDenied
        return webhook

    def has_secret_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        raise NotImplementedError
