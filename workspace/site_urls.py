"""The addresses of one workspace, below `/w/<slug>/`: the middleware chooses them."""

from django.urls import path

from .admin_site import site

urlpatterns = [path("", site.urls)]
