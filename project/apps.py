from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Installed so that `manage.py demo` is found."""

    name = "project"
