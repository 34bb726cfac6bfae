import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.db import connection
from django.forms import model_to_dict

from tests.factories import make_webhook, make_workspace
from webhooks.exceptions import UndecryptableSecret
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook():
    return make_webhook(make_workspace(), secret="top-secret-é")


def stored(webhook):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook WHERE id = %s", [webhook.pk])
        return cursor.fetchone()[0]


def test_it_is_plain_in_python_and_encrypted_in_the_database(webhook):
    assert Webhook.objects.get().secret == "top-secret-é"
    assert "top" not in stored(webhook)
    assert stored(webhook).startswith("fernet:")


def test_no_secret_stays_empty(webhook):
    webhook.secret = ""
    webhook.save()
    assert stored(webhook) == ""
    assert Webhook.objects.get().has_secret is False


def test_saving_something_else_writes_the_same_token_back(webhook):
    before = stored(webhook)
    again = Webhook.objects.get()
    again.name = "Other"
    again.save()
    assert stored(webhook) == before


def test_a_value_that_no_key_fits_is_an_error_at_access_only(webhook, settings):
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    again = Webhook.objects.get()
    assert again.has_secret
    again.name = "Other"
    again.full_clean()
    again.save()
    with pytest.raises(UndecryptableSecret) as caught:
        _ = again.secret
    assert "fernet" not in str(caught.value).lower()
    settings.SECRET_KEY_FALLBACKS = [old]
    assert Webhook.objects.get().secret == "top-secret-é"


def test_keys_rotate_without_a_gap(webhook, settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    for keys in ([old], [new, old]):
        settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCRYPTION_KEYS": keys}
        again = Webhook.objects.get()
        assert again.secret == "top-secret-é"
        again.secret = again.secret
        again.save()
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCRYPTION_KEYS": [new]}
    assert Webhook.objects.get().secret == "top-secret-é"
    settings.WEBHOOKS = {**settings.WEBHOOKS, "ENCRYPTION_KEYS": [old]}
    with pytest.raises(UndecryptableSecret):
        _ = Webhook.objects.get().secret


@pytest.mark.parametrize("lookup", ["startswith", "contains", "regex", "gt", "in", "iexact"])
def test_nothing_can_be_asked_of_it_but_whether_it_is_set(webhook, lookup):
    with pytest.raises(FieldError):
        Webhook.objects.filter(**{f"secret__{lookup}": "top"}).exists()
    assert not Webhook.objects.filter(secret="top-secret-é").exists()
    assert Webhook.objects.exclude(secret="").count() == 1


def test_a_dump_holds_the_token_and_loads_again(webhook):
    text = serializers.serialize("json", Webhook.objects.all())
    assert "top-secret" not in text
    webhook.secret = "changed"
    webhook.save()
    for item in serializers.deserialize("json", text):
        item.save()
    assert Webhook.objects.get().secret == "top-secret-é"


def test_a_typed_value_cannot_pretend_to_be_stored(webhook):
    webhook.secret = stored(webhook)[:]
    webhook.secret = str(webhook.secret)
    with pytest.raises(ValidationError) as caught:
        webhook.full_clean()
    assert list(caught.value.message_dict) == ["secret"]


def test_what_walks_over_the_fields_finds_it_empty(webhook):
    assert model_to_dict(Webhook.objects.get())["secret"] == ""


def test_it_is_in_no_repr(webhook):
    assert "top-secret" not in repr(Webhook.objects.get()) + str(webhook)
