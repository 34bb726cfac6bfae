"""What a webhook proves itself with: its secret, and the headers and Authorization that it sends along."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import headers as rules
from .. import signing
from ..exceptions import InvalidRequest, UndecryptableSecret
from ..fields import EncryptedText, EncryptedTextField
from ..origin import is_same

# Every column that is encrypted.
ENCRYPTED = ("secret", "previous_secret", "custom_headers", "authorization")
# What headers are shown as that cannot be read.
UNREADABLE = {rules.MASK: rules.MASK}

MOVED = (
    "The stored headers and Authorization were entered for another server, and do not follow the callback URL "
    "to this one. Enter them again, or remove them."
)


class Credentials(models.Model):
    """Encrypted in the database, plain in Python, masked wherever they are shown."""

    secret = EncryptedTextField(_("Secret"), blank=True, default="")
    # The secret that receivers know while a rotation overlaps: until it expires both sign.
    previous_secret = EncryptedTextField(blank=True, default="", editable=False)
    previous_secret_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Header name → value as JSON text; see `headers`.
    custom_headers = EncryptedTextField(_("Headers"), blank=True, default="")
    # The whole value of the Authorization header: "Bearer …" or "Basic …".
    authorization = EncryptedTextField(_("Authorization"), blank=True, default="")

    class Meta:
        abstract = True

    @property
    def has_secret(self) -> bool:
        """Whether requests are signed; asked without decrypting."""
        return self._is_set("secret")

    @property
    def headers(self) -> dict[str, str]:
        """The webhook's own headers, name → plain value. Raises UndecryptableSecret and InvalidRequest."""
        return rules.from_text(self.custom_headers) if self._is_set("custom_headers") else {}

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        self.custom_headers = rules.to_text(headers)

    @property
    def masked_headers(self) -> dict[str, str]:
        """The headers as people may see them: name → mask."""
        try:
            return dict.fromkeys(self.headers, rules.MASK)
        except (UndecryptableSecret, InvalidRequest):
            return dict(UNREADABLE)

    @property
    def masked_authorization(self) -> str:
        """The Authorization as people may see it: its kind and the mask, or ""."""
        try:
            return rules.masked_authorization(self.authorization) if self._is_set("authorization") else ""
        except UndecryptableSecret:
            return rules.MASK

    @property
    def rotating_until(self) -> datetime | None:
        """When the former secret stops signing; None when no rotation is under way."""
        return self.previous_secret_expires_at if self.is_rotating(timezone.now()) else None

    def is_rotating(self, now: datetime) -> bool:
        """Return whether at `now` two secrets sign."""
        until = self.previous_secret_expires_at
        return self.has_secret and self._is_set("previous_secret") and until is not None and now < until

    @sensitive_variables()
    def signing_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign at `now`, the newest first. Raises UndecryptableSecret."""
        if not self.has_secret:
            return ()
        return (self.secret, self.previous_secret) if self.is_rotating(now) else (self.secret,)

    @sensitive_variables()
    def replace_secret(self, secret: str, *, now: datetime, until: datetime) -> None:
        """Take a new secret. The one that receivers know goes on signing until `until`, if it can sign at all."""
        known = "previous_secret" if self.is_rotating(now) else "secret"
        usable = until > now and self._is_set(known) and self._can_sign(known)
        # As it is stored: it is neither decrypted nor encrypted again.
        self.previous_secret = self.__dict__[known] if usable else ""
        self.previous_secret_expires_at = until if usable else None
        self.secret = secret

    def forget_previous_secret(self) -> None:
        self.previous_secret, self.previous_secret_expires_at = "", None

    @sensitive_variables()
    def credentials_from(self, changes: Mapping[str, Any]) -> dict[str, str]:
        """Return the columns, with their values, for what `changes` says of "headers" and "authorization".

        A mask keeps what is stored; anything else replaces it, and is never compared with it. What is kept
        stays with its server: raises ValidationError by field, also when "callback_url" would take it elsewhere.
        """
        columns: dict[str, str] = {}
        errors = {}
        for field, column, read in (
            ("headers", "custom_headers", self._headers_from),
            ("authorization", "authorization", self._authorization_from),
        ):
            try:
                text = read(changes[field]) if field in changes else None
            except ValueError as error:
                errors[field] = str(error)
            else:
                if text is not None:
                    columns[column] = text
        if self._leaves(changes) and self.kept(changes):
            errors["callback_url"] = MOVED
        if errors:
            raise ValidationError(errors)
        return columns

    def kept(self, changes: Mapping[str, Any]) -> list[str]:
        """Return which of "headers" and "authorization" would keep something that is stored."""
        found = []
        headers = changes.get("headers", UNREADABLE)
        if self._is_set("custom_headers") and any(map(rules.is_mask, headers.values())):
            found.append("headers")
        if self._is_set("authorization") and rules.is_mask(changes.get("authorization", rules.MASK)):
            found.append("authorization")
        return found

    def clean_fields(self, exclude: Any = None) -> None:
        """Leave a stored, unchanged value alone: it may not even be readable."""
        untouched = {name for name in ENCRYPTED if isinstance(self.__dict__.get(name), EncryptedText)}
        super().clean_fields(exclude={*(exclude or ()), *untouched})

    def validate_constraints(self, exclude: Any = None) -> None:
        """Read no secret on the way: the check would evaluate every field."""
        super().validate_constraints(exclude={*(exclude or ()), *ENCRYPTED})

    @sensitive_variables()
    def secret_error(self) -> str | None:
        """Return why the secret that was assigned cannot sign, if so."""
        secret = self._assigned("secret")
        if not secret:
            return None
        try:
            signing.standard_key(secret)
        except UnicodeEncodeError:
            return "The secret has characters that cannot be written as UTF-8."
        except ValueError as error:
            return str(error)
        return None

    @sensitive_variables()
    def headers_error(self) -> str | None:
        """Return why the headers that were assigned cannot be sent, if so."""
        try:
            return rules.error(rules.from_text(self._assigned("custom_headers")))
        except InvalidRequest as error:
            return str(error)

    @sensitive_variables()
    def authorization_error(self) -> str | None:
        """Return why the Authorization that was assigned cannot be sent, if so."""
        value = self._assigned("authorization")
        return rules.authorization_error(value) if value else None

    def _is_set(self, name: str) -> bool:
        return bool(self.__dict__.get(name, ""))

    def _assigned(self, name: str) -> str:
        """Return the plain value that was assigned; "" for a stored one, which is left unread."""
        value = self.__dict__.get(name, "")
        return "" if isinstance(value, EncryptedText) else value

    @sensitive_variables()
    def _can_sign(self, name: str) -> bool:
        try:
            signing.standard_key(getattr(self, name))
        except ValueError:  # UndecryptableSecret is one, too
            return False
        return True

    @sensitive_variables()
    def _headers_from(self, sent: dict[str, str]) -> str | None:
        """Return the column for the headers that a person sent; None: it stays. Raises ValueError."""
        if not sent:
            return "" if self._is_set("custom_headers") else None
        if sent == UNREADABLE:
            return None
        stored = self._readable_headers()
        if all(map(rules.is_mask, sent.values())) and {*map(str.lower, sent)} == {*map(str.lower, stored)}:
            return None
        headers = rules.merged(sent, stored)
        message = rules.error(headers)
        if message:
            raise ValueError(message)
        return rules.to_text(headers)

    @sensitive_variables()
    def _authorization_from(self, sent: str) -> str | None:
        if rules.is_mask(sent):
            if not self._is_set("authorization"):
                raise ValueError("There is no stored Authorization to keep: give its value.")
            return None
        message = rules.authorization_error(sent) if sent else None
        if message:
            raise ValueError(message)
        return sent if sent or self._is_set("authorization") else None

    @sensitive_variables()
    def _readable_headers(self) -> dict[str, str]:
        try:
            return self.headers
        except (UndecryptableSecret, InvalidRequest):
            return {}

    def _leaves(self, changes: Mapping[str, Any]) -> bool:
        now: str = self.callback_url  # type: ignore[attr-defined]  # of Webhook
        then = changes.get("callback_url", now)
        return self.pk is not None and then != now and not is_same(then, now)
