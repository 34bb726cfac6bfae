"""The project's settings, with a model of another app to emit from, and loopback allowed."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SECRET_KEY", "only-for-tests")

from project.settings import *  # noqa: F403
from project.settings import DATABASES, INSTALLED_APPS, WEBHOOKS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.shop"]
WEBHOOKS = {
    **WEBHOOKS,
    "ALLOWED_NETWORKS": ["127.0.0.0/8", "::1/128"],
    "RETRY_SCHEDULE": [1],
    "RETRY_JITTER": 0,
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, because processes share it.
    DATABASES["default"]["TEST"] = {
        "NAME": Path(tempfile.gettempdir()) / f"webhooks-tests-{os.getpid()}.sqlite3"
    }
else:
    DATABASES["default"]["TEST"] = {"NAME": f"test_webhooks_{os.getpid()}"}
