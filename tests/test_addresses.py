import ipaddress

import pytest

from webhooks.addresses import AddressPolicy, checked_url, literal_address, normalised_host
from webhooks.exceptions import InvalidRequest

PUBLIC = AddressPolicy()

REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "169.254.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "239.1.2.3",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.18.0.1",
    "192.88.99.1",
    "168.63.129.16",
    "169.254.169.254",
    "100.100.100.200",
    "::1",
    "::",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "ff02::1",
    "100::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address):
    assert not PUBLIC.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
)
def test_what_is_public_is_permitted(address):
    assert PUBLIC.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("10.1.0.0", True),
        ("10.1.255.255", True),
        ("10.0.255.255", False),
        ("10.2.0.0", False),
        ("::ffff:10.1.2.3", True),
    ],
)
def test_an_allowed_network_is_exactly_that(address, permitted):
    policy = AddressPolicy.parse(["10.1.0.0/16"])
    assert policy.permits(ipaddress.ip_address(address)) is permitted


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"])
def test_metadata_addresses_are_refused_whatever_is_allowed(address):
    policy = AddressPolicy.parse(["0.0.0.0/0", "::/0"])
    assert policy.permits(ipaddress.ip_address("10.0.0.1"))
    assert not policy.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0177.0.0.1",
        "0x7f000001",
        "0x7F.1",
        "127.1",
        "127.0.0.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "１２７.0.0.1",
    ],
)
def test_every_way_to_write_loopback_has_the_verdict_of_the_plain_form(host):
    assert literal_address(normalised_host(host)) == ipaddress.ip_address("127.0.0.1")
    with pytest.raises(InvalidRequest) as caught:
        checked_url(f"http://{host}/", PUBLIC)
    assert caught.value.kind == "refused_address"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "example.com/hook",
        "https://",
        "https:///path",
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://example.com\\@evil.com/",
        "https://example.com#@evil.com/",
        "https://example.com/#fragment",
        "https://exa mple.com/",
        "https://example.com/\n",
        "https://example.com/\x00",
        "https://example.com/\u2028",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:http/",
        "https://1.2.3.4.5/",
        "https://08.8.8.8/",
        "https://a..b/",
        "https://-a.com/",
        "https://[1::2",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_a_bad_url_is_refused_with_a_sentence(url):
    with pytest.raises(InvalidRequest) as caught:
        checked_url(url, PUBLIC)
    assert caught.value.kind == "bad_url"
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:8443/a?b=c", "https://example.com:8443/a?b=c"),
        ("https://bücher.example/ü?q=é", "https://xn--bcher-kva.example/%C3%BC?q=%C3%A9"),
        ("https://example.com/%C3%BC?q=%7B", "https://example.com/%C3%BC?q=%7B"),
        ("https://example.com/{id}", "https://example.com/%7Bid%7D"),
        ("http://my_service.internal./x", "http://my_service.internal/x"),
        ("http://[2606:4700:4700::1111]:80/", "http://[2606:4700:4700::1111]:80/"),
    ],
)
def test_a_good_url_is_sent_in_its_plain_form(url, sent):
    assert checked_url(url, PUBLIC) == sent


def test_a_url_of_2000_characters_is_accepted():
    url = "https://example.com/"
    url += "a" * (2000 - len(url))
    assert checked_url(url, PUBLIC) == url
