"""Everything under /workspaces/<slug>/, as far as the user may see and do it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError as ModelError
from django.db.models import QuerySet
from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet, ModelViewSet

from .. import access, actions, catalogue
from ..conf import settings
from ..exceptions import UnknownEventType
from ..models import Delivery, Event, Webhook
from . import VIA, deliveries, serializers
from .authentication import authentication_classes
from .errors import answered
from .filters import DeliveryFilter
from .health import Resumable
from .recovery import Recoverable


class NewestFirst(CursorPagination):
    """{"next", "previous", "results"}; ids rise with time."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ModelError):
            # A forged cursor names a position that is no id.
            raise NotFound(self.invalid_cursor_message) from None


class WorkspaceViewSet(GenericViewSet[Any]):
    """Answers 404 for a workspace that the user may not see, as for one that does not exist."""

    authentication_classes = authentication_classes()
    permission_classes = [IsAuthenticated]
    pagination_class: type[NewestFirst] | None = NewestFirst
    # The action in access.ACTIONS that each of a view's actions needs; "view" where none is named.
    needs: ClassVar[dict[str, str]] = {}

    # An error report must show no secret: a JSON body stands in local variables, a form's in the request.
    @method_decorator(sensitive_post_parameters())
    @method_decorator(sensitive_variables())
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.workspace = self._workspace(kwargs["workspace"])
        self.demand("view")
        self.demand(self.needs.get(self.action or "", "view"))

    def _workspace(self, key: str) -> Any:
        if "\x00" in key:
            raise Http404  # which PostgreSQL cannot even be asked for
        lookup = {settings.WORKSPACE_LOOKUP_FIELD: key}
        try:
            workspace = access.workspaces(self.request.user).filter(**lookup).first()
        except (ValueError, ModelError):
            # Not even the form of a key: a word where numbers stand.
            raise Http404 from None
        if workspace is None:
            raise Http404
        return workspace

    def may(self, action: str) -> bool:
        return access.may(self.request.user, self.workspace, action)

    def demand(self, needed: str) -> None:
        """Raise PermissionDenied unless the user may do `needed` here."""
        if not self.may(needed):
            raise PermissionDenied

    def get_serializer_context(self) -> dict[str, Any]:
        workspace = getattr(self, "workspace", None)
        payloads = workspace is not None and self.may("payloads")
        return {**super().get_serializer_context(), "workspace": workspace, "payloads": payloads}


class WebhookViewSet(Resumable, Recoverable, WorkspaceViewSet, ModelViewSet[Webhook]):
    serializer_class = serializers.WebhookSerializer
    lookup_value_regex = "[0-9]{1,18}"
    needs = {
        "create": "add",
        "update": "change",
        "partial_update": "change",
        "destroy": "delete",
        "rotate_secret": "secret",
        "finish_rotation": "secret",
        "resume": "change",
        "recover": "recover",
    }

    def get_queryset(self) -> QuerySet[Webhook]:
        rows = Webhook.objects.filter(workspace=self.workspace).prefetch_related("subscriptions")
        # A single one's state is read when it is shown, after whatever the request did to it.
        return rows.select_related("state") if self.action == "list" else rows

    def perform_update(self, serializer: BaseSerializer[Webhook]) -> None:
        if isinstance(serializer, serializers.WebhookSerializer) and serializer.replaces_credentials:
            self.demand("secret")
        serializer.save()

    def perform_destroy(self, instance: Webhook) -> None:
        actions.delete(instance, by=self.request.user, via=VIA)

    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, **_: Any) -> Response:
        """Replace the secret; the former one goes on signing beside it for `overlap` seconds."""
        webhook = self.get_object()
        asked = serializers.RotationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        with answered():
            secret = actions.rotate_secret(webhook, by=request.user, via=VIA, **asked.validated_data)
        generated = {} if "secret" in asked.validated_data else {"secret": secret}
        return Response({**self.get_serializer(webhook).data, **generated})

    @action(detail=True, methods=["post"], url_path="finish-rotation")
    def finish_rotation(self, request: Request, **_: Any) -> Response:
        """End the overlap now."""
        webhook = self.get_object()
        with answered():
            if not actions.finish_rotation(webhook, by=request.user, via=VIA):
                raise ValidationError({"detail": "No rotation is under way."})
        return Response(self.get_serializer(webhook).data)


class DeliveryViewSet(WorkspaceViewSet, ListModelMixin, RetrieveModelMixin):
    filter_backends = [DjangoFilterBackend]
    filterset_class = DeliveryFilter
    lookup_value_regex = "[0-9]{1,18}"
    needs = {"redeliver": "redeliver"}

    def get_queryset(self) -> QuerySet[Delivery]:
        rows = Delivery.objects.filter(workspace=self.workspace).select_related("event")
        return rows if self.action == "list" else rows.select_related("webhook")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "retrieve":
            return deliveries.DeliveryDetailSerializer
        return deliveries.DeliverySerializer

    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, **_: Any) -> Response:
        """Send an ended delivery again."""
        delivery = self.get_object()
        if not actions.redeliver([delivery], by=request.user, via=VIA):
            sentence = "Only a delivery that has ended, of a webhook that is not deleted, can be redelivered."
            raise ValidationError({"detail": sentence})
        delivery.refresh_from_db()
        return Response(self.get_serializer(delivery).data, status=status.HTTP_202_ACCEPTED)


class EventViewSet(WorkspaceViewSet, ListModelMixin, RetrieveModelMixin):
    serializer_class = deliveries.EventSerializer
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.filter(workspace=self.workspace)


class EventTypeViewSet(WorkspaceViewSet):
    """The catalogue is the same in every workspace; it is asked for in one, so that rights apply."""

    lookup_value_regex = "[a-z0-9_.]+"
    serializer_class = serializers.EventTypeSerializer
    # There is no queryset to page through; with a paginator the browsable page would ask for one.
    pagination_class = None

    def list(self, request: Request, **_: Any) -> Response:
        results = self.get_serializer(catalogue.all(), many=True).data
        return Response({"next": None, "previous": None, "results": results})

    def retrieve(self, request: Request, pk: str, **_: Any) -> Response:
        try:
            event_type = catalogue.get(pk)
        except UnknownEventType:
            raise Http404 from None
        return Response(self.get_serializer(event_type).data)
