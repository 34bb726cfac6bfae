"""What the operator permits, at the save through each door and again at the send."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from rest_framework.test import APIClient

from tests.certificates import Authority, tls_server
from tests.factories import make_user, make_webhook, webhook_form
from webhooks.engine import drain
from webhooks.events import emit
from webhooks.models import Attempt, Delivery, Webhook

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = [
    # settings, callback URL, kind at the send, words of the sentence
    ({}, "http://10.0.0.1/", "refused_address", "Use a host that has a public address"),
    ({}, "http://[::ffff:10.0.0.1]/", "refused_address", "Use a host that has a public address"),
    ({}, "http://[64:ff9b::a00:1]/", "refused_address", "Use a host that has a public address"),
    ({}, "http://2130706433/", "refused_address", "Use a host that has a public address"),
    ({"ALLOWED_NETWORKS": ["0.0.0.0/0"]}, "http://169.254.169.254/", "refused_address", "public address"),
    ({"ALLOWED_NETWORKS": ["::/0"]}, "http://[64:ff9b::a9fe:a9fe]/", "refused_address", "public address"),
    ({"ALLOWED_NETWORKS": ["10.1.0.0/16"]}, "http://10.2.0.1/", "refused_address", "public address"),
    ({"DENIED_NETWORKS": ["8.8.8.0/24"]}, "http://8.8.8.8/", "refused_address", "operator has barred it"),
    ({"ALLOWED_PORTS": [443]}, "https://example.com:22/", "refused_port", "Use one of these ports: 443."),
    ({"ALLOWED_PORTS": [443]}, "http://example.com/", "refused_port", "Use one of these ports: 443."),
    ({"HTTPS_ONLY": True}, "http://example.com/", "bad_url", "must begin with https://:"),
    ({}, "file:///etc/passwd", "bad_url", "must begin with https:// or http://"),
    ({}, "gopher://example.com/", "bad_url", "must begin with https:// or http://"),
    ({}, "ftp://example.com/", "bad_url", "must begin with https:// or http://"),
    ({}, "javascript:alert(1)", "bad_url", "must begin with https:// or http://"),
    ({}, "https://user:pass@example.com/", "bad_url", "must not carry a user name"),
    ({}, "https://example.com\\@evil.example/", "bad_url", "a backslash"),
    ({}, "https://example.com#@evil.example/", "bad_url", "must not have a fragment"),
    ({}, "https://example.com/a\x01b", "bad_url", "a control character"),
    ({}, "https://example.com/a\r\nX-Evil:b", "bad_url", "a control character"),
    ({}, "https://example.com/a\x7fb", "bad_url", "a control character"),
]
refused = pytest.mark.parametrize(("policy", "url", "kind", "words"), REFUSED)


@pytest.fixture
def permit(settings):
    """Return a function that replaces the tests' own policy, which allows loopback."""

    def replace(**policy):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "ALLOWED_NETWORKS": [], **policy}

    return replace


@refused
def test_the_model_refuses_it_by_field(workspace, permit, policy, url, kind, words):
    permit(**policy)
    with pytest.raises(ValidationError) as caught:
        Webhook(workspace=workspace, name="CRM", callback_url=url).full_clean()
    [message] = caught.value.message_dict["callback_url"]
    assert words in message


@refused
def test_the_api_answers_400_by_field(workspace, permit, policy, url, kind, words):
    permit(**policy)
    client = APIClient()
    client.force_authenticate(make_user(superuser=True))
    answer = client.post(
        "/api/v1/workspaces/acme/webhooks/",
        {"name": "CRM", "callback_url": url, "events": ["order.created"]},
        format="json",
    )
    assert answer.status_code == 400
    [message] = answer.json()["callback_url"]
    assert words in message
    assert not Webhook.objects.exists()


@refused
def test_the_admin_form_says_what_to_mend(client, workspace, permit, policy, url, kind, words):
    permit(**policy)
    client.force_login(make_user(superuser=True))
    response = client.post(
        reverse("admin:webhooks_webhook_add"),
        webhook_form(workspace=workspace.pk, callback_url=url),
    )
    assert response.status_code == 200
    [message] = response.context["adminform"].form.errors["callback_url"]
    assert words in message
    assert not Webhook.objects.exists()


@refused
def test_what_got_into_the_row_by_update_is_refused_at_send(workspace, permit, policy, url, kind, words):
    permit(**policy)
    webhook = make_webhook(workspace)
    Webhook.objects.update(callback_url=url)
    emit("order.created", workspace=workspace, data={})
    drain(linger=0)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.error_kind, attempt.status_code) == ("permanent", kind, None)
    assert words in attempt.error
    assert Delivery.objects.get(webhook=webhook).ended_because == "permanent"


def test_what_was_permitted_at_save_and_is_not_at_send_sees_no_packet(workspace, permit, receiver):
    permit(ALLOWED_NETWORKS=["127.0.0.0/8"])
    webhook = Webhook(workspace=workspace, name="CRM", callback_url=receiver.url)
    webhook.full_clean()
    webhook.save()
    webhook.subscribe("*")
    permit(ALLOWED_NETWORKS=["127.0.0.0/8"], DENIED_NETWORKS=["127.0.0.1/32"])
    emit("order.created", workspace=workspace, data={})
    drain(linger=0)
    assert Attempt.objects.get().error_kind == "refused_address"
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("policy", "delivered"),
    [
        ({}, False),
        ({"ALLOWED_HOSTS": ["localhost"]}, True),
        ({"ALLOWED_HOSTS": ["LocalHost."]}, True),
        ({"ALLOWED_HOSTS": ["crm.example.internal"]}, False),
        ({"ALLOWED_HOSTS": ["localhost"], "DENIED_NETWORKS": ["127.0.0.0/8", "::1/128"]}, False),
    ],
)
def test_an_allowed_host_is_called_wherever_it_leads(workspace, permit, receiver, policy, delivered):
    permit(**policy)
    make_webhook(workspace, callback_url=receiver.url.replace("127.0.0.1", "localhost"))
    emit("order.created", workspace=workspace, data={})
    drain(linger=0)
    attempt = Attempt.objects.get()
    assert len(receiver.requests) == delivered
    if not delivered:
        assert (attempt.outcome, attempt.error_kind) == ("transient", "refused_address")
        assert not re.search(r"127|::1", attempt.error)


def test_an_allowed_host_allows_no_address(workspace, permit, receiver):
    permit(ALLOWED_HOSTS=["localhost"])
    make_webhook(workspace, callback_url=receiver.url)
    emit("order.created", workspace=workspace, data={})
    drain(linger=0)
    assert Attempt.objects.get().error_kind == "refused_address"
    assert receiver.requests == []


def test_a_drain_trusts_the_configured_bundle_and_records_why_it_trusts_nobody_else(
    workspace, settings, tmp_path
):
    authority = Authority(tmp_path)
    with tls_server(authority.issue()) as server:
        make_webhook(workspace, callback_url=f"https://localhost:{server.port}/hook")
        emit("order.created", workspace=workspace, data={})
        drain(linger=0)
        assert server.requests == []
        settings.WEBHOOKS = {**settings.WEBHOOKS, "CA_BUNDLE": authority.bundle}
        emit("order.created", workspace=workspace, data={})
        drain(linger=0)
        assert len(server.requests) == 1
    refused, delivered = Attempt.objects.order_by("pk")
    assert (refused.outcome, refused.error_kind, refused.status_code) == ("transient", "tls", None)
    assert refused.error.startswith("The receiver's certificate is not trusted")
    assert (delivered.outcome, delivered.status_code) == ("success", 200)
