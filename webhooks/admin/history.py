"""The history of what is changed through actions, which write it themselves, for the API as well."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class LoggedByActions:
    """Keeps a ModelAdmin from writing each change into the history a second time."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Nothing."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Nothing."""
