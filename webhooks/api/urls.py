"""Include under a prefix of the project's choice, e.g. path("api/v1/", include("webhooks.api.urls"))."""

from __future__ import annotations

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.routers import SimpleRouter

from .views import DeliveryViewSet, EventTypeViewSet, EventViewSet, WebhookViewSet

app_name = "webhooks_api"

router = SimpleRouter()
router.register("webhooks", WebhookViewSet, basename="webhook")
router.register("deliveries", DeliveryViewSet, basename="delivery")
router.register("events", EventViewSet, basename="event")
router.register("event-types", EventTypeViewSet, basename="event-type")

urlpatterns: list[URLPattern | URLResolver] = [path("workspaces/<str:workspace>/", include(router.urls))]
if apps.is_installed("rest_framework.authtoken"):
    from rest_framework.authtoken.views import obtain_auth_token

    # An error report must show no password either, whether it came as JSON or as a form.
    token = sensitive_post_parameters()(sensitive_variables()(obtain_auth_token))
    urlpatterns.append(path("token/", token, name="token"))
