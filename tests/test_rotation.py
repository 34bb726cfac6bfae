"""Rotating a secret: what signs before, during and after the overlap."""

import hashlib
import hmac
from datetime import datetime, timedelta, timezone

import pytest
import standardwebhooks
import svix.webhooks
from django.core.exceptions import ValidationError

from tests.factories import make_webhook, make_workspace
from webhooks import actions, encoding, signing
from webhooks.events import emit
from webhooks.exceptions import ConcurrentChange, UndecryptableSecret
from webhooks.fields import EncryptedText
from webhooks.models import Webhook
from webhooks.request import build_request

pytestmark = pytest.mark.django_db

OLD = "0ld-sécret"
DAY = timedelta(days=1)


@pytest.fixture
def webhook():
    return make_webhook(make_workspace(), secret=OLD)


@pytest.fixture
def event(webhook):
    return emit("order.created", workspace=webhook.workspace, data={"ñ": 1})


def now():
    return datetime.now(timezone.utc)


def signed(event, at=None):
    """Return the stored webhook's request as it would be built at a time."""
    return build_request(Webhook.objects.get(), event, 1, at or now(), delivery_id=None)


def hexadecimal(secret, request):
    return hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()


def standard(secret, request):
    headers = request.headers
    stamp = int(headers["webhook-timestamp"])
    return signing.standard_signature(secret, headers["webhook-id"], stamp, request.body)


def unreadable(*names):
    Webhook.objects.update(**dict.fromkeys(names, EncryptedText("fernet:unreadable")))


def test_both_sign_during_the_overlap_and_one_after_it(webhook, event):
    before = signed(event)
    assert "X-Signature-Next" not in before.headers
    new = actions.rotate_secret(webhook, by=None)
    end = Webhook.objects.get().previous_secret_expires_at
    assert end - now() == pytest.approx(DAY, abs=timedelta(seconds=5))
    during = signed(event, end - timedelta(microseconds=1))
    assert during.headers["X-Signature"] == hexadecimal(OLD, during)
    assert during.headers["X-Signature-Next"] == hexadecimal(new, during)
    assert during.headers["webhook-signature"] == f"{standard(new, during)} {standard(OLD, during)}"
    after = signed(event, end)
    assert after.headers["X-Signature"] == hexadecimal(new, after)
    assert after.headers["webhook-signature"] == standard(new, after)
    assert "X-Signature-Next" not in after.headers


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_standard_verifiers_accept_either_secret_during_the_overlap_and_the_new_one_after(webhook, verifier):
    old = actions.rotate_secret(webhook, by=None, overlap=0)
    new = actions.rotate_secret(webhook, by=None)
    event = emit("order.created", workspace=webhook.workspace, data={})
    during = signed(event)
    for secret in (old, new):
        verifier(secret).verify(during.body, dict(during.headers))
    actions.finish_rotation(webhook, by=None)
    after = signed(event)
    verifier(new).verify(after.body, dict(after.headers))
    with pytest.raises((standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)):
        verifier(old).verify(after.body, dict(after.headers))


def test_get_signs_the_payload_with_both(webhook, event):
    webhook.method = "GET"
    webhook.save()
    actions.rotate_secret(webhook, by=None, secret="new")
    request = signed(event)
    payload = encoding.encode_json(event.envelope)
    for name, secret in (("X-Signature", OLD), ("X-Signature-Next", "new")):
        assert request.headers[name] == hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def test_finishing_early_leaves_the_new_one_alone(webhook, event):
    new = actions.rotate_secret(webhook, by=None)
    assert actions.finish_rotation(webhook, by=None) is True
    stored = Webhook.objects.get()
    assert (stored.secret, stored.previous_secret, stored.rotating_until) == (new, "", None)
    assert (webhook.previous_secret, webhook.version) == ("", stored.version)
    request = signed(event)
    assert request.headers["X-Signature"] == hexadecimal(new, request)
    assert actions.finish_rotation(webhook, by=None) is False
    assert Webhook.objects.get().version == stored.version


def test_rotating_again_keeps_the_one_that_receivers_know_and_begins_anew(webhook, event):
    actions.rotate_secret(webhook, by=None, secret="between", overlap=60)
    newest = actions.rotate_secret(webhook, by=None, overlap=3600)
    stored = Webhook.objects.get()
    assert (stored.secret, stored.previous_secret) == (newest, OLD)
    assert stored.previous_secret_expires_at - now() > timedelta(seconds=3500)
    request = signed(event)
    assert request.headers["X-Signature"] == hexadecimal(OLD, request)
    assert standard("between", request) not in request.headers["webhook-signature"]


def test_rotating_after_the_overlap_keeps_the_present_one(webhook):
    actions.rotate_secret(webhook, by=None, secret="second")
    Webhook.objects.update(previous_secret_expires_at=now() - timedelta(seconds=1))
    actions.rotate_secret(webhook, by=None, secret="third")
    assert Webhook.objects.get().previous_secret == "second"


def test_no_overlap_replaces_at_once_also_during_one(webhook, event):
    actions.rotate_secret(webhook, by=None)
    new = actions.rotate_secret(webhook, by=None, overlap=0)
    stored = Webhook.objects.get()
    assert (stored.previous_secret, stored.previous_secret_expires_at) == ("", None)
    request = signed(event)
    assert request.headers["webhook-signature"] == standard(new, request)


def test_the_first_secret_overlaps_with_nothing(webhook, event):
    actions.remove_secret(webhook, by=None)
    assert "webhook-signature" not in signed(event).headers
    actions.rotate_secret(webhook, by=None)
    assert Webhook.objects.get().previous_secret_expires_at is None


def test_removing_ends_an_overlap(webhook, event):
    actions.rotate_secret(webhook, by=None)
    actions.remove_secret(webhook, by=None)
    stored = Webhook.objects.get()
    assert (stored.has_secret, stored.previous_secret, stored.previous_secret_expires_at) == (False, "", None)
    assert "X-Signature" not in signed(event).headers


@pytest.mark.parametrize("names", [("secret",), ("secret", "previous_secret")])
def test_a_secret_that_cannot_be_decrypted_is_replaced_without_overlap(webhook, event, names):
    unreadable(*names)
    with pytest.raises(UndecryptableSecret):
        signed(event)
    new = actions.rotate_secret(webhook, by=None)
    stored = Webhook.objects.get()
    assert (stored.previous_secret, stored.previous_secret_expires_at) == ("", None)
    assert signed(event).headers["X-Signature"] == hexadecimal(new, signed(event))


def test_a_former_secret_that_became_unreadable_is_never_left_out_silently(webhook, event):
    actions.rotate_secret(webhook, by=None)
    unreadable("previous_secret")
    with pytest.raises(UndecryptableSecret):
        signed(event)
    # Once the overlap has ended it is not read any more.
    assert "X-Signature" in signed(event, now() + 2 * DAY).headers


@pytest.mark.parametrize("overlap", [-1, 30 * 86400 + 1, float("nan"), float("inf")])
def test_an_overlap_out_of_bounds_changes_nothing(webhook, overlap):
    with pytest.raises(ValidationError) as caught:
        actions.rotate_secret(webhook, by=None, overlap=overlap)
    assert list(caught.value.message_dict) == ["overlap"]
    assert webhook.secret == Webhook.objects.get().secret == OLD
    actions.rotate_secret(webhook, by=None, overlap=30 * 86400)


def test_the_project_says_how_long_it_overlaps(webhook, settings):
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ROTATION_OVERLAP": 60}
    actions.rotate_secret(webhook, by=None)
    assert webhook.rotating_until - now() == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=5))


def test_what_the_caller_holds_is_brought_up_to_date_and_nothing_else_is_written(webhook):
    Webhook.objects.filter(pk=webhook.pk).update(name="Renamed by another")
    webhook.name = "Not saved"
    new = actions.rotate_secret(webhook, by=None)
    assert (webhook.name, webhook.secret, webhook.previous_secret) == ("Renamed by another", new, OLD)
    assert Webhook.objects.get().name == "Renamed by another"


def test_a_deleted_webhook_is_not_rotated(webhook):
    actions.delete(Webhook.objects.get(), by=None)
    with pytest.raises(ConcurrentChange, match="deleted"):
        actions.rotate_secret(webhook, by=None)
    assert not Webhook.with_deleted.get().has_secret
