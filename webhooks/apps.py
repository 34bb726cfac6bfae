from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import catalogue, checks, receivers, schedules

        catalogue.autodiscover()
        receivers.connect()
        checks.register()
        queue_app = apps.get_app_config("django_q")
        post_migrate.connect(schedules.ensure, sender=queue_app, dispatch_uid="webhooks.schedules")
