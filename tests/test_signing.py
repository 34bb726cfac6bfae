import base64
import hashlib
import hmac
from datetime import datetime, timedelta, timezone

import pytest
import standardwebhooks
import svix.webhooks

from webhooks import signing

BODY = '{"título":"año 日本"}'.encode()


def test_x_signature_is_the_lowercase_hex_hmac_of_the_payload():
    expected = hmac.new("clé 日本".encode(), BODY, hashlib.sha256).hexdigest()
    assert signing.x_signature("clé 日本", BODY) == expected
    # RFC 4231, test case 2
    assert (
        signing.x_signature("Jefe", b"what do ya want for nothing?")
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_a_secret_of_100_kb_signs():
    secret = "é" * 50_000
    assert signing.x_signature(secret, BODY) == hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "sign", [lambda: signing.x_signature("", BODY), lambda: signing.standard_signature("", "i", 1, BODY)]
)
def test_an_empty_secret_never_signs(sign):
    with pytest.raises(ValueError, match="empty secret"):
        sign()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whsec_é", "whsec_abc"])
def test_whsec_that_is_not_base64_is_refused_without_quoting_it(secret):
    with pytest.raises(ValueError, match="base64") as caught:
        signing.standard_signature(secret, "id", 1, BODY)
    assert secret.removeprefix("whsec_") not in str(caught.value) or secret == "whsec_"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_standard_verifiers_accept_it_and_refuse_an_old_timestamp(verifier):
    secret = signing.generate_secret()
    for age, accepted in ((0, True), (301, False)):
        stamp = int((datetime.now(timezone.utc) - timedelta(seconds=age)).timestamp())
        signature = signing.standard_signature(secret, "msg_1", stamp, BODY)
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}
        if accepted:
            verifier(secret).verify(BODY, headers)
        else:
            with pytest.raises(
                (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)
            ):
                verifier(secret).verify(BODY, headers)


def test_any_other_secret_is_used_as_its_bytes():
    digest = hmac.new(b"plain", b"id.5." + BODY, hashlib.sha256).digest()
    assert signing.standard_signature("plain", "id", 5, BODY) == "v1," + base64.b64encode(digest).decode()


def test_a_generated_secret_carries_32_of_the_random_bytes_given():
    secret = signing.generate_secret(lambda count: bytes(range(count)))
    assert base64.b64decode(secret.removeprefix("whsec_")) == bytes(range(32))
    assert signing.generate_secret() != signing.generate_secret()


def test_verification_compares_the_whole_signature():
    signature = signing.x_signature("s", BODY)
    assert signing.verify_x_signature("s", BODY, signature)
    assert not signing.verify_x_signature("s", BODY, signature[:-1] + ("0" if signature[-1] != "0" else "1"))
    assert not signing.verify_x_signature("s", BODY, "é")
