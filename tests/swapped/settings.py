"""A project with a workspace model of its own, and neither our `workspace` nor our `project` app."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE, WEBHOOKS

WEBHOOKS_WORKSPACE_MODEL = "swapped.Team"
INSTALLED_APPS = [*(app for app in INSTALLED_APPS if app not in ("workspace", "project")), "tests.swapped"]
WEBHOOKS = {key: value for key, value in WEBHOOKS.items() if not str(value).startswith("workspace.")}
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("workspace.")]
LOGIN_URL = "admin:login"
ROOT_URLCONF = "tests.swapped.urls"
