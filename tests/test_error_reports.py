import json
import sys

import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter, get_default_exception_reporter_filter

# Not written out: a report shows the source around the error too.
PASSWORD = "hunter" + str(2)


@pytest.fixture(autouse=True)
def _the_projects_filter(settings):
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = "webhooks.error_reports.ErrorReportFilter"
    get_default_exception_reporter_filter.cache_clear()  # it keeps the first one that it made


def test_an_error_report_holds_no_password_of_the_settings_or_the_environment(settings):
    settings.WEBHOOKS = {"EGRESS_PROXY": f"http://ann:{PASSWORD}@proxy.example:3128", "TIMEOUT": 12.75}
    settings.BROKERS = [f"redis://:{PASSWORD}@broker.example/0"]
    request = RequestFactory().get("/")
    request.META["WEBHOOKS"] = json.dumps({"ENCRYPTION_KEYS": [PASSWORD]})
    request.META["DATABASE_URL"] = f"postgresql://ann:{PASSWORD}@database.example/webhooks"
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        reporter = ExceptionReporter(request, *sys.exc_info())
    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert PASSWORD not in report
        for harmless in ("proxy.example:3128", "12.75", "broker.example/0", "database.example/webhooks"):
            assert harmless in report
