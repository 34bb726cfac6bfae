"""The forms by which people create and change a webhook."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from .. import catalogue
from ..exceptions import UnknownEventType
from ..models import Webhook
from ..models.webhook import MAX_ATTEMPTS_LIMIT
from .widgets import EventsInput, SecretInput


class EventsField(forms.MultipleChoiceField):
    """Patterns: the registered types, all, and whatever the webhook has already."""

    widget = EventsInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kept: frozenset[str] = frozenset()

    def valid_value(self, value: str) -> bool:
        if value in self.kept:
            return True
        try:
            catalogue.check_pattern(value)
        except UnknownEventType:
            return False
        return True

    def has_changed(self, initial: Any, data: Any) -> bool:
        return set(initial or ()) != set(data or ())


class WebhookForm(forms.ModelForm):
    """The page's eight fields. The change form is without the secret, which is never shown again."""

    secret = forms.CharField(
        label=_("Secret"),
        required=False,
        strip=False,
        widget=SecretInput,
        help_text=_(
            "Optional. With a secret, every request carries a signature in its X-Signature header, so that "
            "your server can tell that the request is genuine. Copy it now: it is never shown again."
        ),
    )
    events = EventsField(
        label=_("Events"),
        error_messages={
            "required": _("Choose at least one event."),
            "invalid_choice": _("“%(value)s” is not an event type that can be chosen."),
        },
        help_text=_("What this webhook listens to. Each of these events is sent to your callback URL."),
    )

    class Meta:
        model = Webhook
        fields = (
            "workspace",
            "name",
            "callback_url",
            "method",
            "content_type",
            "max_attempts",
            "is_active",
            "secret",
        )
        widgets = {
            "name": forms.TextInput(attrs={"class": "vTextField"}),
            "callback_url": forms.URLInput(attrs={"class": "vURLField", "placeholder": "https://"}),
            "max_attempts": forms.NumberInput(
                attrs={"class": "vIntegerField", "min": 1, "max": MAX_ATTEMPTS_LIMIT}
            ),
        }
        help_texts = {
            "workspace": _("Whose events are sent. It cannot be changed later."),
            "name": _("A unique name that says what the webhook is for."),
            "callback_url": _("The address on your server that is ready to receive the HTTP requests."),
            "method": _(
                "The HTTP method that carries the events, typically POST. GET has no body: the event is sent "
                "in the query parameter “payload”."
            ),
            "content_type": _("The format of the data that is sent, commonly application/json."),
            "max_attempts": _("How many times sending an event is attempted, the first time included (1–%d).")
            % MAX_ATTEMPTS_LIMIT,
            "is_active": _(
                "Checked: the webhook is active, and events are sent. Unchecked: nothing is sent."
            ),
        }

    # Set for each request by the admin, on the class that it makes of this one.
    only_workspace: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        if self.instance.pk is None and self.only_workspace is not None:
            self.instance.workspace_id = self.only_workspace
        events = self.fields.get("events")
        if self.instance.pk is not None and isinstance(events, EventsField):
            self.initial["events"] = self.instance.patterns
            events.kept = frozenset(self.initial["events"])


class SecretForm(forms.Form):
    """A secret of one's own choice, or none: then one is generated."""

    secret = forms.CharField(
        label=_("New secret"),
        required=False,
        strip=False,
        widget=SecretInput,
        help_text=_("Leave it empty and one is generated for you and shown once."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        candidate = Webhook(secret=secret)
        Webhook._meta.get_field("secret").clean(secret, candidate)
        message = candidate.secret_error()
        if message:
            raise ValidationError(message)
        return secret
