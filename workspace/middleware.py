"""`/w/<slug>/…`: into a workspace, for its people; for everybody else it is not there."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import set_urlconf

from webhooks import access

from .models import Workspace
from .portal import PREFIX, SITE_URLS, address, prefix_of, root, script_prefix

_ADDRESS = re.compile(rf"/{PREFIX}/(?P<slug>[-a-zA-Z0-9_]+)(?P<rest>/.*)?", re.DOTALL)


class WorkspaceMiddleware:
    """Sets `request.workspace`, the workspace's URL configuration and its script prefix; takes them back after.

    It stands after AuthenticationMiddleware, and after whatever makes addresses of its own.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match = _ADDRESS.fullmatch(request.path_info)
        if match is None:
            return self.get_response(request)
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), address(request, "login"))
        workspace = access.workspaces(request.user).filter(slug=match["slug"]).first()
        if workspace is None:
            # Whether it exists is not for this person to know: one answer for both.
            raise Http404
        if match["rest"] is None:
            return HttpResponseRedirect(request.get_full_path(force_append_slash=True))
        return self._entered(request, workspace, match["rest"])

    def _entered(self, request: HttpRequest, workspace: Workspace, rest: str) -> HttpResponse:
        request.workspace = workspace  # type: ignore[attr-defined]
        request.urlconf = SITE_URLS
        request.path_info = rest
        try:
            with script_prefix(prefix_of(workspace, root(request))):
                return self.get_response(request)
        finally:
            # The handler leaves the last request's with the thread.
            set_urlconf(None)
