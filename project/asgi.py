"""The web process."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Only the web may hold a pool of connections: it does not fork.
os.environ.setdefault("DATABASE_POOL", "1")

application = get_asgi_application()
