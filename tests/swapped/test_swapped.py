"""The whole with a tenant model that is not ours: UUID key, no `workspace` app, Django's model permissions."""

import json
import uuid

import pytest
from django.apps import apps
from django.urls import reverse

from tests.factories import make_user, make_webhook, make_workspace, webhook_form
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_foreign_model_is_the_tenant():
    assert not apps.is_installed("workspace")
    assert isinstance(make_workspace().pk, uuid.UUID)
    assert Webhook._meta.get_field("workspace").related_model.__name__ == "Team"


def test_a_webhook_created_in_the_admin_is_delivered_to(client, receiver):
    team = make_workspace()
    client.force_login(make_user("root", superuser=True))
    form = webhook_form(callback_url=receiver.url, secret="s", workspace=str(team.pk))
    response = client.post(reverse("admin:webhooks_webhook_add"), form)
    assert response.status_code == 302, response.content
    emit("order.created", workspace=team, data={"a": 1})
    assert drain(linger=0) == 1
    envelope = json.loads(receiver.requests[0].body)
    assert (envelope["workspace"], envelope["data"]) == ("acme", {"a": 1})
    for name in ("webhook", "delivery", "event"):
        assert client.get(reverse(f"admin:webhooks_{name}_changelist")).status_code == 200


def test_the_api_follows_djangos_permissions(client):
    team = make_workspace()
    webhook = make_webhook(team)
    emit("order.created", workspace=team, data={})
    url = "/api/v1/workspaces/acme/webhooks/"
    client.force_login(make_user("nobody"))
    assert client.get(url).status_code == 404
    client.force_login(make_user("viewer", role="viewer", workspace=team))
    assert [row["id"] for row in client.get(url).json()["results"]] == [webhook.pk]
    assert client.delete(f"{url}{webhook.pk}/").status_code == 403
    client.force_login(make_user("worker", role="member", workspace=team))
    assert client.delete(f"{url}{webhook.pk}/").status_code == 204
    assert Delivery.objects.count() == 1
