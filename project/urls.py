from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("workspace.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("webhooks.api.urls")),
]
