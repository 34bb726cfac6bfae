"""How a request says who it comes from."""

from __future__ import annotations

from django.apps import apps
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.settings import api_settings


def authentication_classes() -> list[type[BaseAuthentication]]:
    """Return the project's own choice, or token and session: token first, so that its challenge makes a 401."""
    if "DEFAULT_AUTHENTICATION_CLASSES" in api_settings.user_settings:
        return list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)  # type: ignore[arg-type]  # imported by then
    if not apps.is_installed("rest_framework.authtoken"):
        # Without its table, a Token header would be a server error.
        return [SessionAuthentication]
    return [TokenAuthentication, SessionAuthentication]
