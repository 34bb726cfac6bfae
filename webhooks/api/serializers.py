"""The JSON of the API. The rules are the models' own: `full_clean()` is asked, and answers by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils.html import is_html_input

from .. import actions, catalogue, signing
from ..exceptions import UnknownEventType
from ..headers import MAX_TOTAL_BYTES
from ..models import Webhook
from ..models.database import alias
from . import VIA
from .errors import answered
from .health import WebhookHealth
from .known_keys import KnownKeys

# What people change as it is.
_PLAIN = (*actions.CHANGEABLE, "is_active")
# A field whose value is read in another form than it is written, by the name that actions know it by.
_MEANT = {"patterns": "events", "masked_headers": "headers", "masked_authorization": "authorization"}


class HeadersField(serializers.DictField):
    """Header name → value, shown as a mask; a mask that is sent back keeps the value."""

    def __init__(self, **kwargs: Any) -> None:
        value = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=MAX_TOTAL_BYTES)
        super().__init__(child=value, **kwargs)

    def get_value(self, dictionary: Any) -> Any:
        """A form that says nothing of headers changes none: not in every version does DRF see to that."""
        value = super().get_value(dictionary)
        is_silent = is_html_input(dictionary) and not value and self.field_name not in dictionary
        return empty if is_silent else value


@sensitive_variables()
def _asks_for_secret(attrs: dict[str, Any]) -> bool:
    """Take "generate_secret" out of `attrs` and return it. Raises ValidationError beside a secret."""
    asks: bool = attrs.pop("generate_secret", False)
    if asks and "secret" in attrs:
        raise serializers.ValidationError({"secret": "Give a secret or ask for one, not both."})
    return asks


class WebhookSerializer(KnownKeys, WebhookHealth, serializers.ModelSerializer[Webhook]):
    """Create and change need `context["workspace"]`."""

    events = serializers.ListField(
        child=serializers.CharField(max_length=catalogue.MAX_NAME_LENGTH),
        source="patterns",
        allow_empty=False,
    )
    secret = serializers.CharField(
        write_only=True, required=False, allow_blank=True, trim_whitespace=False, max_length=200_000
    )
    generate_secret = serializers.BooleanField(write_only=True, required=False)
    headers = HeadersField(source="masked_headers", required=False)
    authorization = serializers.CharField(
        source="masked_authorization",
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=MAX_TOTAL_BYTES,
    )
    # Shown in the one response of the request that asked for it.
    _generated: str = ""
    # The columns that "headers" and "authorization" come to.
    _credentials: Mapping[str, str] = {}

    class Meta:
        model = Webhook
        fields = [
            "id",
            *_PLAIN,
            "has_secret",
            "secret",
            "generate_secret",
            "rotating_until",
            "headers",
            "authorization",
            "events",
            "health",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["rotating_until", "created_at", "updated_at"]
        # Without the value that was sent: it may be a secret in the wrong place, or no Unicode at all.
        extra_kwargs = {
            name: {"error_messages": {"invalid_choice": "This is not one of the valid choices."}}
            for name in ("method", "content_type")
        }

    @property
    def replaces_credentials(self) -> bool:
        """Whether the valid data asks for another secret, headers or Authorization than are stored."""
        return "secret" in self.validated_data or bool(self._credentials)

    def validate_events(self, patterns: list[str]) -> list[str]:
        # What is already subscribed to is kept, even when its app is gone.
        present = set(self.instance.patterns) if self.instance else set()
        for pattern in set(patterns) - present:
            try:
                catalogue.check_pattern(pattern)
            except UnknownEventType:
                raise serializers.ValidationError(
                    f"{pattern!r} matches no event type: event-types/ lists those there are."
                ) from None
        return patterns

    @sensitive_variables()
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the changes as `actions.change` takes them."""
        changes = {_MEANT.get(name, name): value for name, value in attrs.items()}
        if _asks_for_secret(changes):
            changes["secret"] = self._generated = signing.generate_secret()
        with answered():
            self._check(changes)
            self._credentials = (self.instance or Webhook()).credentials_from(changes)
        return changes

    @sensitive_variables()
    def _check(self, changes: Mapping[str, Any]) -> None:
        """Raise ModelError for what is wrong with the changes.

        What was taken under other settings stands in the way of no other change, least of all of switching off.
        """
        concerned = {*changes, "callback_url"} if "method" in changes else {*changes}
        kept = {*_PLAIN} - concerned if self.instance else set()
        try:
            self._draft(changes).full_clean(validate_unique=False)
        except ModelError as error:
            errors = {name: found for name, found in error.error_dict.items() if name not in kept}
            if errors:
                raise ModelError(errors) from None

    @sensitive_variables()
    def _draft(self, changes: Mapping[str, Any]) -> Webhook:
        """Return what the webhook would be, without what is stored encrypted."""
        draft = Webhook(workspace=self.context["workspace"])
        if self.instance:
            draft.pk = self.instance.pk
            draft._state.adding = False
        for name in _PLAIN:
            if self.instance:
                setattr(draft, name, getattr(self.instance, name))
            if name in changes:
                setattr(draft, name, changes[name])
        draft.secret = changes.get("secret", "")
        return draft

    @sensitive_variables()
    def create(self, validated_data: dict[str, Any]) -> Webhook:
        webhook = self._draft(validated_data)
        for column, text in self._credentials.items():
            setattr(webhook, column, text)
        with answered():
            actions.create(webhook, validated_data["events"], by=self.context["request"].user, via=VIA)
        return webhook

    @sensitive_variables()
    def update(self, instance: Webhook, validated_data: dict[str, Any]) -> Webhook:
        by = self.context["request"].user
        secret = validated_data.get("secret")
        with answered(), transaction.atomic(using=alias()):
            actions.change(instance, validated_data, by=by, via=VIA)
            if secret:
                actions.rotate_secret(instance, by=by, secret=secret, via=VIA)
            elif secret == "":
                actions.remove_secret(instance, by=by, via=VIA)
        return instance

    def to_representation(self, instance: Webhook) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if self._generated:
            shown["secret"] = self._generated
        return shown


class RotationSerializer(KnownKeys):
    """How a secret is to be rotated: without one, one is generated."""

    secret = serializers.CharField(required=False, trim_whitespace=False, max_length=200_000)
    generate_secret = serializers.BooleanField(required=False)
    overlap = serializers.FloatField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _asks_for_secret(attrs)  # as without a secret it does anyway
        return attrs


class EventTypeSerializer(serializers.Serializer[catalogue.EventType]):
    name = serializers.CharField()
    description = serializers.CharField()
    example = serializers.JSONField()
    schema = serializers.JSONField()
