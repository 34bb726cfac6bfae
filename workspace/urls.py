"""The portal's addresses outside of any workspace: include at the root, before everything else."""

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.urls import path, reverse_lazy

from . import views

app_name = "portal"
urlpatterns = [
    path("", views.list_view, name="list"),
    path("new/", views.create_view, name="create"),
    path("login/", views.LogInView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page=reverse_lazy("portal:login")), name="logout"),
    path(
        "password/",
        login_required(views.PasswordView.as_view(), login_url=views.LOG_IN),
        name="password",
    ),
    path("invitations/<str:token>/", views.invitation_view, name="invitation"),
]
