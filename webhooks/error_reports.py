"""What Django's error reports, on the page and by mail, must not show of the settings."""

from __future__ import annotations

import re
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/?#\s]+(?=@)")


class ErrorReportFilter(SafeExceptionReporterFilter):
    """For `DEFAULT_EXCEPTION_REPORTER_FILTER`: hides the user and password in every URL, whatever its setting's name.

    Django hides by names alone, and `EGRESS_PROXY` is none of those. runserver adds the environment to the
    report, where `WEBHOOKS` is one string with all keys in it.
    """

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        if not isinstance(cleansed, str):
            return cleansed
        if key == "WEBHOOKS":
            return self.cleansed_substitute
        return _CREDENTIALS_IN_URL.sub(self.cleansed_substitute, cleansed)
