"""A walk over every address of a URL configuration, in search of another workspace's anything.

Addresses are found, not listed: whatever is added later is walked too. Each is probed with another workspace's
objects; one whose parameters this module does not know is a problem by itself, until somebody says what they are.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.admin.utils import quote
from django.contrib.admindocs.views import simplify_regex
from django.db import models, transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from webhooks.conf import workspace_model

# What belongs to no workspace: pages for operators, who need a permission of Django's.
OF_NO_WORKSPACE = frozenset({"auth", "authtoken", "contenttypes", "django_q", "sessions"})
# Addresses whose key is that of another model than their name says.
KEY_OF = {"workspace_membership_revoke": "workspace.Invitation"}
# Keys that stand for no object of a workspace.
NO_OBJECT = {"event-type-detail": "order.created"}
METHODS = ("get", "post", "put", "patch", "delete", "options")
# What a page, which is no endpoint, tells apart.
PAGE_METHODS = ("get", "post")
NOTHING = "no-such-thing"
_OBJECT_KEYS = frozenset({"object_id", "pk", "id"})
# What stands in the address, so that an answer may repeat it.
_REPEATED = _OBJECT_KEYS | {"workspace"}
_KNOWN = _REPEATED | {"app_label", "url", "token", "content_type_id"}


@dataclass(frozen=True)
class Route:
    name: str
    """With its namespaces; "" for one that has none."""
    path: str
    """From the root, without the leading slash; parameters as <name>."""
    callback: Any

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset(re.findall(r"<(\w+)>", self.path))

    @property
    def methods(self) -> tuple[str, ...]:
        return METHODS if hasattr(self.callback, "cls") else PAGE_METHODS

    def __str__(self) -> str:
        return f"/{self.path} ({self.name or 'unnamed'})"

    def at(self, prefix: str, **values: Any) -> str:
        return prefix + re.sub(r"<(\w+)>", lambda match: str(values[match[1]]), self.path)


def routes(urlconf: Any) -> list[Route]:
    """Return every address of `urlconf`, those of what it includes with it."""
    return list(_routes(get_resolver(urlconf), "", ""))


def _routes(resolver: URLResolver, namespace: str, before: str) -> Any:
    for one in resolver.url_patterns:
        path = before + _plain(str(one.pattern))
        if isinstance(one, URLResolver):
            yield from _routes(one, f"{namespace}{one.namespace}:" if one.namespace else namespace, path)
        else:
            yield Route(namespace + (one.name or ""), path, one.callback)


def _plain(pattern: str) -> str:
    """Return a pattern, a route's or a regular expression's, with each parameter as <name>."""
    if re.search(r"[\^$\\]|\(\?P<", pattern):
        pattern = simplify_regex(pattern).lstrip("/")
    return re.sub(r"<\w+:(\w+)>", r"<\1>", pattern)


@dataclass
class World:
    """A person's own workspace, and another one that holds one object of each model."""

    own: Any
    foreign: Any
    objects: list[models.Model]
    """Everything in the foreign workspace."""
    markers: dict[str, str]
    """What may be shown nowhere: name → text that stands in the foreign workspace only."""
    problems: list[str] = field(default_factory=list)
    probed: set[Route] = field(default_factory=set)

    def key(self, model: type[models.Model]) -> Any:
        if model is workspace_model():
            return self.foreign.pk
        return next((one.pk for one in self.objects if type(one) is model), None)

    def stored(self) -> list[Any]:
        """Return every row of the foreign workspace, to see whether any was changed."""
        everything = [self.foreign, *self.objects]
        return [list(type(one)._base_manager.filter(pk=one.pk).values()) for one in everything]


def _without(text: str, repeated: set[str]) -> str:
    """Return `text` without what it repeats of its own address, and without the token that each form has anew."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)
    for value in sorted(repeated, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "?", text)
    return text


def addresses(world: World, urlconf: Any, prefix: str = "/") -> Iterator[tuple[Route, str]]:
    """Yield each address of `urlconf` with the keys of the foreign workspace's own objects in it."""
    for route in routes(urlconf):
        model = model_of(route)
        key = (world.key(model) if model else None) or 1
        content_type = content_type_of(model or type(world.objects[0]))
        names = {"workspace": world.foreign.slug, "url": NOTHING, "token": NOTHING, "app_label": "webhooks"}
        keys = {"object_id": quote(key), "pk": NO_OBJECT.get(route.name.rpartition(":")[2], key), "id": key}
        yield route, route.at(prefix, **names, **keys, **content_type)


def _is_of_no_workspace(model: type[models.Model]) -> bool:
    return model._meta.app_label in OF_NO_WORKSPACE


def missing(key: Any) -> Any:
    """Return a key of the same form that nothing has."""
    return uuid.uuid4() if isinstance(key, uuid.UUID) else int(key) + 10**6


class Walk:
    """Goes over all addresses of `urlconf` below `prefix` as one person. What it finds is put into `world`."""

    def __init__(
        self, world: World, user: Any, urlconf: Any, *, prefix: str = "/", insider: Any = None
    ) -> None:
        """`insider`: somebody of the foreign workspace, for whom the objects must be there."""
        self.world, self.user, self.prefix, self.insider = world, user, prefix, insider
        self.routes = routes(urlconf)
        self._clients: dict[Any, Client] = {}

    def go(self) -> None:
        for route in self.routes:
            self._probe(route)
            self.world.probed.add(route)

    def _probe(self, route: Route) -> None:
        if unknown := route.parameters - _KNOWN:
            self._found(f"{route}: nobody has said what {sorted(unknown)} stand for")
        elif route.parameters & _OBJECT_KEYS:
            self._probe_object(route)
        else:
            self._probe_page(route)

    # An address with an object's key

    def _probe_object(self, route: Route) -> None:
        name = route.name.rpartition(":")[2]
        if name in NO_OBJECT:
            self._probe_page(route, pk=NO_OBJECT[name])
            return
        model = model_of(route)
        if model is None and "content_type_id" not in route.parameters:
            self._found(f"{route}: nobody has said what its key stands for")
            return
        for one in [model] if model else [type(one) for one in self.world.objects]:
            self._probe_key(route, one)

    def _probe_key(self, route: Route, model: type[models.Model]) -> None:
        key = self.world.key(model)
        if key is None and not _is_of_no_workspace(model):
            self._found(f"{route}: the foreign workspace has no {model.__name__} to probe it with")
        key = key or 1
        own = {"workspace": self.world.own.slug, **content_type_of(model)}
        for method in route.methods:
            self._compare(route, method, [{**own, **self._keys(one)} for one in (key, missing(key))], model)
            if "workspace" in route.parameters:
                self._compare(
                    route, method, [{"workspace": slug, **self._keys(key)} for slug in self._slugs()]
                )
        if self.insider is not None and not _is_of_no_workspace(model):
            self._control(route, {**own, "workspace": self.world.foreign.slug, **self._keys(key)})

    def _keys(self, key: Any) -> dict[str, Any]:
        return {"object_id": quote(key), "pk": key, "id": key}

    def _slugs(self) -> list[str]:
        return [self.world.foreign.slug, NOTHING]

    def _compare(self, route: Route, method: str, pair: list[dict[str, Any]], model: Any = None) -> None:
        """Both addresses must be answered alike, but for what of the address itself is repeated.

        Whether a user or a schedule exists is no workspace's matter: those are refused, but not always alike.
        """
        repeated = {str(value) for values in pair for name, value in values.items() if name in _REPEATED}
        answers = []
        for values in pair:
            response = self._request(route, route.at(self.prefix, **values), method)
            texts = (response.content.decode(), str(response.headers.get("Location", "")))
            answers.append((response.status_code, *(_without(text, repeated) for text in texts)))
        if answers[0] != answers[1] and not (model is not None and _is_of_no_workspace(model)):
            self._found(f"{method} {route}: {answers[0][0]}, but {answers[1][0]} for one that does not exist")
        # What an address takes is described to whoever may see the workspace, without a look at its object.
        if answers[0][0] < 300 and method != "options":
            self._found(f"{method} {route}: {answers[0][0]}")
        self._look(route, answers[0][1])

    def _control(self, route: Route, values: dict[str, Any]) -> None:
        """The objects must be there for whom they belong to: else nothing was probed."""
        if "content_type_id" in route.parameters:
            return  # none of these models has an address of its own
        address = route.at(self._inside(), **values)
        for method in route.methods:
            if self._answered(self.insider, address, method)[0].status_code not in (404, 405):
                return
        self._found(f"{route}: not found by its own people either")

    def _inside(self) -> str:
        return self.prefix.replace(f"/{self.world.own.slug}/", f"/{self.world.foreign.slug}/")

    # A page about many things, or none

    def _probe_page(self, route: Route, **values: Any) -> None:
        labels = sorted({one._meta.app_label for one in self.world.objects})
        values = {"url": NOTHING, "token": NOTHING, "workspace": self.world.own.slug, **values}
        for label in labels if "app_label" in route.parameters else [""]:
            for query in self._queries(route):
                address = route.at(self.prefix, **{**values, "app_label": label})
                self._look(route, self._request(route, address, "get", query).content.decode())
        if "workspace" in route.parameters:
            for method in route.methods:
                self._compare(route, method, [{**values, "workspace": slug} for slug in self._slugs()])
        model = model_of(route)
        if model is not None and route.name.endswith("_changelist"):
            self._probe_list(route, model)
        if route.name.endswith(":autocomplete"):
            self._probe_autocomplete(route)

    def _queries(self, route: Route) -> list[dict[str, str]]:
        if hasattr(route.callback, "cls"):
            return [{}, {"format": "api"}]  # the browsable page has forms and choices of its own
        if "changelist" not in route.name:
            return [{}]
        # A page repeats what was searched for: the beginning of a marker is none.
        beginnings = sorted({text[:5] for text in self.world.markers.values()})
        return [{}, {"_popup": "1"}, *({"q": beginning} for beginning in beginnings)]

    def _probe_list(self, route: Route, model: type[models.Model]) -> None:
        address = route.at(self.prefix)
        key = self.world.key(model)
        model_admin = getattr(route.callback, "model_admin", None)
        for action in ("delete_selected", *_actions(model_admin)):
            data = {"action": action, "_selected_action": [str(key or 1)], "post": "yes"}
            self._look(route, self._request(route, address, "post", data).content.decode())
        # What was said of it is shown on the next page.
        self._look(route, self._request(route, address, "get").content.decode())
        for name, value in self._look_ups(model):
            pair = (value, missing(value))
            answers = [self._request(route, address, "get", {name: str(one)}) for one in pair]
            texts = [_without(answer.content.decode(), {str(one) for one in pair}) for answer in answers]
            if (answers[0].status_code, texts[0]) != (answers[1].status_code, texts[1]):
                self._found(f"get {route}?{name}: tells a foreign key from one that does not exist")
            self._look(route, texts[0])

    def _look_ups(self, model: type[models.Model]) -> Any:
        for one in model._meta.get_fields():
            key = self.world.key(one.related_model) if one.related_model else None
            if key is not None:
                for suffix in ("__exact", "__id__exact"):
                    yield f"{one.name}{suffix}", key
        if self.world.key(model) is not None:
            yield "id__exact", self.world.key(model)

    def _probe_autocomplete(self, route: Route) -> None:
        for model in apps.get_models():
            for one in model._meta.get_fields():
                if one.concrete and one.is_relation:
                    query = {
                        "term": "",
                        "app_label": model._meta.app_label,
                        "model_name": model._meta.model_name,
                    }
                    address = route.at(self.prefix)
                    answer = self._request(route, address, "get", {**query, "field_name": one.name})
                    self._look(route, answer.content.decode())

    # What is common to all

    def _request(self, route: Route, address: str, method: str, data: Any = None) -> Any:
        response, changed = self._answered(self.user, address, method, data)
        if changed:
            self._found(f"{method} {route}: changes something of the foreign workspace")
        return response

    def _answered(self, user: Any, address: str, method: str, data: Any = None) -> tuple[Any, bool]:
        """Return the answer, and whether the foreign workspace was changed. Whatever was changed is taken back."""
        client = self._client(user)  # before what is taken back, so that the session stays
        if method == "get":
            return client.get(address, data), False
        before = self.world.stored()
        with transaction.atomic():
            if method == "post":
                response = client.post(address, data or {"post": "yes"})
            else:
                response = getattr(client, method)(address, "{}", content_type="application/json")
            changed = self.world.stored() != before
            transaction.set_rollback(True)
        return response, changed

    def _client(self, user: Any) -> Client:
        """Return the browser of `user`, logged in again when an address has logged it out."""
        client = self._clients.setdefault(user, Client())
        if user is not None and "sessionid" not in client.cookies:
            client.force_login(user)
        return client

    def _look(self, route: Route, content: str) -> None:
        for name, text in self.world.markers.items():
            if text in content:
                self._found(f"{route}: shows {name}")

    def _found(self, problem: str) -> None:
        if problem not in self.world.problems:
            self.world.problems.append(problem)


def model_of(route: Route) -> type[models.Model] | None:
    """Return the model whose key stands in the address, or whose list it is: told by its name, view or path."""
    name = route.name.rpartition(":")[2]
    if name in KEY_OF:
        return apps.get_model(KEY_OF[name])
    for model in apps.get_models():
        options = model._meta
        if name.startswith(f"{options.app_label}_{options.model_name}_"):
            return model
        if f"{options.app_label}/{options.model_name}/<object_id>" in route.path:
            return model
    view = getattr(route.callback, "cls", None)
    queryset = getattr(view, "queryset", None)
    if queryset is not None:
        return queryset.model
    label = name.partition("-")[0]
    found = [model for model in apps.get_models() if model.__name__.lower() == label]
    return found[0] if len(found) == 1 and view is not None else None


def content_type_of(model: type[models.Model]) -> dict[str, Any]:
    from django.contrib.contenttypes.models import ContentType

    return {"content_type_id": ContentType.objects.get_for_model(model).pk}


def _actions(model_admin: Any) -> list[str]:
    return [
        one if isinstance(one, str) else one.__name__ for one in getattr(model_admin, "actions", None) or ()
    ]
