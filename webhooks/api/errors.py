"""What the actions raise, as the API answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError as ModelError
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError

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
        raise ValidationError(error.message_dict) from None
    except ConcurrentChange as error:
        raise Conflict(str(error)) from None
