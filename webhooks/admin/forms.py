"""The forms by which people create and change a webhook."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import actions, durations, limits
from ..conf import settings
from ..models import Webhook
from ..models.credentials import MOVED
from ..models.webhook import MAX_ATTEMPTS_LIMIT
from .fields import AuthorizationField, DurationsField, EventsField, HeadersField
from .widgets import SecretInput

# Posted values that no error report may show.
SENSITIVE = ("secret", "headers", "authorization_token", "authorization_username", "authorization_password")
HOUR = 3600
OVERLAPS: dict[float, Any] = {
    0: _("none: replace it at once"),
    HOUR: _("1 hour"),
    24 * HOUR: _("1 day"),
    7 * 24 * HOUR: _("7 days"),
    30 * 24 * HOUR: _("30 days"),
}


class WebhookForm(forms.ModelForm):
    """The page's eight fields, and more settings below them.

    The change form is without the secret, which is never shown again. `changes` are what the person changed, as
    `actions.change` takes them, and `credentials` the columns that headers and Authorization come to.
    """

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

    headers = HeadersField(
        label=_("Headers"),
        required=False,
        widget=forms.Textarea(
            attrs={
                "class": "vLargeTextField webhooks-mono",
                "rows": 3,
                "placeholder": "X-Api-Key: …",
                "autocomplete": "off",
                "spellcheck": "false",
            }
        ),
        help_text=_(
            "Sent along with every request, one “Name: value” on each line. After saving, values are shown as "
            "••••; leave those as they are to keep them."
        ),
    )
    authorization = AuthorizationField(
        label=_("Authorization"),
        required=False,
        help_text=_("What your server asks for before it takes a request. It is never shown again."),
    )
    retry_schedule = DurationsField(
        label=_("Retry schedule"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_(
            "How long to wait before the second attempt, the third, and so on, such as 30s, 5m, 2h; the last one "
            "repeats. Up to 20, each between 1s and 1d."
        ),
    )
    # The webhook as it was when the page was opened.
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

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
            *limits.FIELDS,
        )
        widgets = {
            "name": forms.TextInput(attrs={"class": "vTextField"}),
            "callback_url": forms.URLInput(attrs={"class": "vURLField", "placeholder": "https://"}),
            "max_attempts": forms.NumberInput(
                attrs={"class": "vIntegerField", "min": 1, "max": MAX_ATTEMPTS_LIMIT}
            ),
            **{
                name: forms.NumberInput(attrs={"class": "vIntegerField", "step": "any"})
                for name in ("timeout", "connect_timeout", "rate_limit")
            },
            "max_in_flight": forms.NumberInput(attrs={"class": "vIntegerField"}),
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
            "timeout": _("Seconds that your server has to answer a request."),
            "connect_timeout": _("Seconds that may pass until the connection to your server is open."),
            "rate_limit": _("Requests per second, at most. 0.5 is one every two seconds. Empty: no limit."),
            "max_in_flight": _("How many requests may wait for your server’s answer at the same time."),
            "ordered": _(
                "Send one event after another, each once the one before it has ended. An event that fails holds "
                "up those behind it until its attempts run out."
            ),
        }

    # Set for each request by the admin, on the class that it makes of this one.
    only_workspace: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.changes: dict[str, Any] = {}
        self.credentials: dict[str, str] = {}
        if self.instance.pk is None and self.only_workspace is not None:
            self.instance.workspace_id = self.only_workspace
        if self.instance.pk is not None:
            self._show_stored()
        self._show_defaults()

    def _show_stored(self) -> None:
        self.initial.update(
            events=self.instance.patterns,
            headers=self.instance.masked_headers,
            authorization=self.instance.masked_authorization,
            version=self.instance.version,
        )
        events = self.fields.get("events")
        if isinstance(events, EventsField):
            events.kept = frozenset(self.initial["events"])
        if "authorization" in self.fields:
            self.fields["authorization"].widget.attrs["stored"] = self.instance.masked_authorization

    def _show_defaults(self) -> None:
        """Say in each empty field what holds without it."""
        for name, default in (
            ("timeout", f"{settings.TIMEOUT:g}"),
            ("connect_timeout", f"{settings.CONNECT_TIMEOUT:g}"),
            ("max_in_flight", str(settings.IN_FLIGHT_PER_WEBHOOK)),
            ("retry_schedule", durations.text(settings.RETRY_SCHEDULE)),
        ):
            if name in self.fields:
                self.fields[name].widget.attrs["placeholder"] = default

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("version") not in (None, self.instance.version):
            raise ValidationError(actions.CHANGED_SINCE)
        self.changes = {name: cleaned[name] for name in self.changed_data if name in cleaned}
        # Not a column's value yet: a mask must not be taken for one.
        cleaned.pop("authorization", None)
        try:
            self.credentials = self.instance.credentials_from(self.changes)
        except ValidationError as error:
            self.add_error(None, error)
            if MOVED in error.message_dict.get("callback_url", ()):
                self._ask_again()
        return cleaned

    def _ask_again(self) -> None:
        """Say it at the fields too: so their section, which is folded away, stands open."""
        for name in self.instance.kept(self.changes):
            if name in self.fields:
                self.add_error(name, _("Enter this again for the new server, or remove it."))

    def _update_errors(self, errors: ValidationError) -> None:
        """What was taken under other settings stands in the way of no other change, as over the API."""
        if self.instance.pk is not None and hasattr(errors, "error_dict"):
            concerned = {*self.changed_data, *({"callback_url"} if "method" in self.changed_data else ())}
            kept = {*actions.CHANGEABLE} - concerned
            errors = ValidationError(
                {name: found for name, found in errors.error_dict.items() if name not in kept}
            )
        super()._update_errors(errors)  # type: ignore[misc]  # Django's, but not of its stubs


class SecretForm(forms.Form):
    """A secret of one's own choice, or none: then one is generated."""

    secret = forms.CharField(
        label=_("New secret"),
        required=False,
        strip=False,
        widget=SecretInput,
        help_text=_("Leave it empty and one is generated for you and shown once."),
    )

    overlap = forms.TypedChoiceField(
        label=_("Overlap"),
        required=False,
        coerce=float,
        empty_value=None,
        help_text=_(
            "How long the former secret goes on signing beside the new one, so that you can change your server "
            "without losing an event: X-Signature is made with the former, X-Signature-Next with the new one."
        ),
    )

    def __init__(self, *args: Any, overlaps: bool, **kwargs: Any) -> None:
        """`overlaps`: there is a former secret that could go on signing."""
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        if not overlaps:
            del self.fields["overlap"]
            return
        default = settings.ROTATION_OVERLAP
        offered: dict[float, Any] = {default: durations.text([default]), **OVERLAPS}
        overlap: Any = self.fields["overlap"]
        overlap.choices = [(f"{seconds:g}", offered[seconds]) for seconds in sorted(offered)]
        overlap.initial = f"{default:g}"

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        candidate = Webhook(secret=secret)
        Webhook._meta.get_field("secret").clean(secret, candidate)
        message = candidate.secret_error()
        if message:
            raise ValidationError(message)
        return secret
