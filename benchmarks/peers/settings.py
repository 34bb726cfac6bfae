"""The peers' settings: PostgreSQL, Celery on Redis; what either peer does not know, it ignores."""

import os

from benchmarks.statements import count_statements

count_statements()

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    "django_webhook",
    "benchmarks.peers",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PEER_DATABASE"],
        "USER": "postgres",
        "HOST": os.environ["PEER_DATABASE_HOST"],
    }
}
# Events are stored, as we store attempts.
DJANGO_WEBHOOK = {"MODELS": ["peers.Article"], "STORE_EVENTS": True}
