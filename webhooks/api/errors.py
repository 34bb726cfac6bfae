"""What the actions raise, as the API answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelError
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.settings import api_settings

from ..exceptions import ConcurrentChange


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


@contextmanager
def answered() -> Iterator[None]:
    """Answer a broken rule by field (400), and what somebody else changed meanwhile as a conflict (409)."""
    try:
        yield
    except ModelError as error:
        raise ValidationError(_by_field(error)) from None
    except ConcurrentChange as error:
        raise Conflict(str(error)) from None


def _by_field(error: ModelError) -> dict[str, list[str]]:
    """Return what is wrong by field, and under the framework's own name what is about none of them."""
    unnamed = str(api_settings.NON_FIELD_ERRORS_KEY)
    if not hasattr(error, "error_dict"):
        return {unnamed: error.messages}
    named = error.message_dict
    return {unnamed if name == NON_FIELD_ERRORS else name: messages for name, messages in named.items()}
