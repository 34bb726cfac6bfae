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
    "2001:0:808:808::1",
    "2001:1::1",
    "2001:20::1",
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


METADATA_ADDRESSES = [
    "169.254.169.254",
    "fd00:ec2::254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "fe80::a9fe:a9fe%eth0",
    "192.0.0.192",
    "100.100.100.200",
    "168.63.129.16",
]
# How gateways write 169.254.169.254 into IPv6.
EMBEDDED = [
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:5:a9:fea9:fe00:0",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:0:808:808:0:0:5601:5601",
]


@pytest.mark.parametrize("address", [*METADATA_ADDRESSES, *EMBEDDED])
def test_metadata_addresses_are_refused_whatever_is_allowed(address):
    policy = AddressPolicy.parse(["0.0.0.0/0", "::/0"], hosts=["crm.example.internal"])
    assert policy.permits(ipaddress.ip_address("10.0.0.1"))
    assert policy.permits(ipaddress.ip_address("64:ff9b::10.0.0.1"))
    assert not policy.permits(ipaddress.ip_address(address))
    assert not policy.permits(ipaddress.ip_address(address), "crm.example.internal")


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1", "8.8.8.8"]
)
def test_a_denied_network_beats_everything_that_is_allowed(address):
    everything = AddressPolicy.parse(["0.0.0.0/0", "::/0"], hosts=["crm.example.internal"])
    policy = AddressPolicy.parse(
        ["0.0.0.0/0", "::/0"], hosts=["crm.example.internal"], denied=["10.1.0.0/16", "8.8.8.0/24"]
    )
    address = ipaddress.ip_address(address)
    assert everything.permits(address, "crm.example.internal")
    assert not policy.permits(address)
    assert not policy.permits(address, "crm.example.internal")
    assert policy.permits(ipaddress.ip_address("10.2.0.1"))


@pytest.mark.parametrize(
    ("pattern", "host", "permitted"),
    [
        ("crm.example.internal", "crm.example.internal", True),
        ("crm.example.internal", "CRM.Example.internal.", True),
        ("crm.example.internal", "a.crm.example.internal", False),
        ("crm.example.internal", "example.internal", False),
        ("*.example.internal", "crm.example.internal", True),
        ("*.example.internal", "a.b.example.internal", True),
        ("*.example.internal", "example.internal", False),
        ("*.example.internal", ".example.internal", False),
        ("*.example.internal", "evilexample.internal", False),
        ("*.example.internal", "crm.example.internal.evil.com", False),
        ("Bücher.example.", "xn--bcher-kva.example", True),
        ("crm.example.internal", "", False),
    ],
)
def test_an_allowed_host_may_lead_anywhere(pattern, host, permitted):
    policy = AddressPolicy.parse(hosts=[pattern])
    assert policy.permits(ipaddress.ip_address("10.1.2.3"), host) is permitted
    assert policy.permits(ipaddress.ip_address("fd00::1"), host) is permitted
    assert not policy.permits(ipaddress.ip_address("10.1.2.3"))


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "[::1]", "fd00::1", "2130706433", "*.1", "*", "a..b", "a:80", "https://a"]
)
def test_an_allowed_host_is_a_name(host):
    with pytest.raises(ValueError, match=r"^is "):
        AddressPolicy.parse(hosts=[host])


def test_equal_policies_are_one_key():
    first, second = (
        AddressPolicy.parse(["10.0.0.0/8"], hosts=["a.b"], denied=["::/0"], ports=[443], https_only=True)
        for _ in range(2)
    )
    assert {first: 1}[second] == 1


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("https://example.com/", True),
        ("https://example.com:8443/", True),
        ("https://example.com:443/", True),
        ("http://example.com/", False),
        ("https://example.com:22/", False),
        ("https://8.8.8.8:22/", False),
    ],
)
def test_only_the_allowed_ports_are_called(url, permitted):
    policy = AddressPolicy.parse(ports=[443, 8443])
    if permitted:
        assert checked_url(url, policy) == url
        return
    with pytest.raises(InvalidRequest, match="Use one of these ports: 443, 8443") as caught:
        checked_url(url, policy)
    assert caught.value.kind == "refused_port"


def test_https_only_refuses_plain_http():
    policy = AddressPolicy.parse(https_only=True)
    assert checked_url("https://example.com/", policy)
    with pytest.raises(InvalidRequest, match="must begin with https://:") as caught:
        checked_url("http://example.com/", policy)
    assert caught.value.kind == "bad_url"


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
        "https://example.com/\x7f",
        "https://example.com/\x1b[31m",
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
