"""Encrypted text, and the foreign key to the project's workspace model."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.lookups import Exact, IsNull
from django.db.models.query_utils import DeferredAttribute
from django.views.decorators.debug import sensitive_variables

from .conf import settings, workspace_model, workspace_model_name
from .exceptions import UndecryptableSecret

TOKEN_PREFIX = "fernet:"  # noqa: S105  marks a stored value as encrypted; no plain value may begin so


class EncryptedText(str):
    """A stored value, still encrypted. Only `decrypted()` turns it into plain text."""

    __slots__ = ()


@sensitive_variables()
def encrypted(text: str) -> EncryptedText:
    """Return `text` under the newest key (Fernet: AES-128-CBC and HMAC-SHA256)."""
    return EncryptedText(TOKEN_PREFIX + _cipher().encrypt(text.encode("utf-8")).decode("ascii"))


def decrypted(stored: EncryptedText) -> str:
    """Return the plain text. Raises UndecryptableSecret when no configured key fits."""
    return _decrypted(stored, *_keys())


# A worker reads the same few secrets for every request; it holds the key to all of them anyway.
@lru_cache(maxsize=4096)
@sensitive_variables()
def _decrypted(stored: EncryptedText, keys: tuple[str, ...], secret_keys: tuple[str, ...]) -> str:
    cipher = MultiFernet(_fernets(keys, secret_keys))
    try:
        return cipher.decrypt(stored.removeprefix(TOKEN_PREFIX).encode("utf-8")).decode("utf-8")
    except (InvalidToken, UnicodeError):
        raise UndecryptableSecret(
            "This value was encrypted with a key that is not configured. "
            "Bring the key back into ENCRYPTION_KEYS, or replace the value."
        ) from None


def is_current(stored: EncryptedText) -> bool:
    """Return whether the newest key alone reads it, so that every other key could go."""
    try:
        _ciphers()[0].decrypt(stored.removeprefix(TOKEN_PREFIX).encode("utf-8"))
    except (InvalidToken, UnicodeError):
        return False
    return True


def _cipher() -> MultiFernet:
    return MultiFernet(_ciphers())


def _ciphers() -> Sequence[Fernet]:
    return _fernets(*_keys())


def _keys() -> tuple[tuple[str, ...], tuple[str, ...]]:
    secret_keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    return tuple(settings.ENCRYPTION_KEYS or ()), tuple(map(str, secret_keys))


@lru_cache(maxsize=4)
@sensitive_variables()
def _fernets(keys: tuple[str, ...], secret_keys: tuple[str, ...]) -> Sequence[Fernet]:
    # The derived keys stay last even where ENCRYPTION_KEYS is set: what was written before it was set
    # must stay readable on the day an operator follows the deploy check's advice.
    return [Fernet(key) for key in [*map(str.encode, keys), *map(_derived_key, secret_keys)]]


def _derived_key(secret_key: str) -> bytes:
    derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"django-workspace-webhooks")
    return base64.urlsafe_b64encode(derivation.derive(secret_key.encode("utf-8")))


class _DecryptingAttribute(DeferredAttribute):
    """Decrypts at access, so that one unreadable row breaks neither a list of webhooks nor a batch."""

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        return decrypted(value) if isinstance(value, EncryptedText) else value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(models.TextField):
    """Text that is plain in Python and a Fernet token in the database; "" stays "".

    Reading the attribute raises UndecryptableSecret when no key fits; saving an instance whose value was not
    assigned writes the stored token back untouched. Serialised (dumpdata) it stays encrypted.
    """

    descriptor_class = _DecryptingAttribute

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return EncryptedText(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if not value or isinstance(value, EncryptedText) else encrypted(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return model_instance.__dict__[self.attname]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return EncryptedText(value) if isinstance(value, str) and value.startswith(TOKEN_PREFIX) else value

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        if isinstance(value, str) and value.startswith(TOKEN_PREFIX):
            raise ValidationError(f"This value cannot begin with “{TOKEN_PREFIX}”.")
        return super().clean(value, model_instance)

    def value_from_object(self, obj: models.Model) -> Any:
        """Nothing that walks over fields (forms' initial values, serialisers) is given the plain text."""
        return ""

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(obj.__dict__.get(self.attname)) or "")

    def get_lookup(self, lookup_name: str) -> Any:
        """Only "is it set" can be asked: `exact` with "" (any other value matches nothing), and `isnull`."""
        return {"exact": Exact, "isnull": IsNull}.get(lookup_name)

    def get_transform(self, lookup_name: str) -> None:
        return None


class WorkspaceForeignKey(models.ForeignKey):
    """A foreign key to the project's workspace model, whose name stands in no migration.

    So the same migrations serve every project, whatever its model's name and key.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("to", workspace_model_name())
        kwargs.setdefault("on_delete", models.CASCADE)
        kwargs.setdefault("related_name", "+")
        super().__init__(**kwargs)

    def formfield(self, **kwargs: Any) -> Any:
        """Raise ImproperlyConfigured for a wrong name: the admin makes its forms before this app is ready."""
        workspace_model()
        return super().formfield(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        for given in ("to", "on_delete", "related_name"):
            kwargs.pop(given, None)
        return name, path, args, kwargs
