"""Form fields of the webhook's pages: what people type ↔ what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import catalogue, durations, headers, limits
from ..exceptions import UnknownEventType
from .widgets import BASIC, BEARER, KEEP, NONE, AuthorizationInput, EventsInput


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


class DurationsField(forms.Field):
    """Seconds, written as “5s, 1m, 2h”; nothing is None."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str) or not value:
            return value
        # What was written past the rules is shown as it is, to be mended.
        return str(value) if limits.retry_schedule_error(value) else durations.text(value)

    def to_python(self, value: Any) -> list[float] | None:
        if not value or not value.strip():
            return None
        try:
            return durations.seconds(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return data != self.prepare_value(initial or "")


class HeadersField(forms.Field):
    """Header name → value, written “Name: value”, one on each line. Stored values are masked."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        return value

    @sensitive_variables()
    def to_python(self, value: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, line in enumerate((value or "").replace("\r\n", "\n").split("\n"), start=1):
            if not line.strip():
                continue
            name, colon, text = (part.strip(" \t") for part in line.partition(":"))
            if not colon:
                # Not quoted: it may be a value.
                raise ValidationError(_("Line %(number)d is not “Name: value”.") % {"number": number})
            if name in found:
                raise ValidationError(_("Line %(number)d repeats a name.") % {"number": number})
            found[name] = text
        return found

    @sensitive_variables()
    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.to_python(data) != (initial or {})
        except ValidationError:
            return True


class AuthorizationField(forms.Field):
    """The value of the Authorization header; a mask when what is stored shall stay."""

    widget = AuthorizationInput

    @sensitive_variables()
    def to_python(self, value: Any) -> str:
        kind = value["kind"]
        if kind == NONE:
            return ""
        if kind == BEARER:
            return self._bearer(value["token"].strip())
        if kind == BASIC:
            return self._basic(value["username"], value["password"])
        if kind != KEEP:
            raise ValidationError(_("Choose one of the kinds of authorization."))
        return headers.MASK

    @sensitive_variables()
    def _bearer(self, token: str) -> str:
        if not token:
            raise ValidationError(_("Enter the token."))
        if token.lower().startswith("bearer "):
            raise ValidationError(_("Enter the token alone, without “Bearer”."))
        return f"Bearer {token}"

    @sensitive_variables()
    def _basic(self, username: str, password: str) -> str:
        if not username and not password:
            raise ValidationError(_("Enter the user name and the password."))
        if ":" in username:
            raise ValidationError(_("A user name cannot have a colon."))
        try:
            return headers.basic(username, password)
        except UnicodeEncodeError:
            raise ValidationError(_("This cannot be written as UTF-8.")) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        kind: str = data["kind"]
        return kind not in ((KEEP,) if initial else (KEEP, NONE))
