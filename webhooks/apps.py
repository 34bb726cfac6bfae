from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import catalogue, checks, conf, receivers, schedules

        conf.workspace_model()  # a wrong name is said before anything fails for it
        catalogue.autodiscover()
        receivers.connect()
        checks.register()
        queue_app = apps.get_app_config("django_q")
        post_migrate.connect(schedules.ensure, sender=queue_app, dispatch_uid="webhooks.schedules")
