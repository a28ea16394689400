"""Origins, and which hosts are this machine."""

import pytest

from layerstore.errors import RegistryError
from registry_client.origin import Origin, is_local, is_loopback, split_authority


@pytest.mark.parametrize(
    ("url", "origin", "shown"),
    [
        (
            "https://Registry.example/v2/",
            Origin("https", "registry.example", 443),
            "https://registry.example",
        ),
        ("http://host:5000/x?y", Origin("http", "host", 5000), "http://host:5000"),
        ("https://[::1]:5000/", Origin("https", "::1", 5000), "https://[::1]:5000"),
        ("http://host:80", Origin("http", "host", 80), "http://host"),
    ],
)
def test_a_url_has_scheme_host_and_port(url: str, origin: Origin, shown: str) -> None:
    assert Origin.of(url) == origin
    assert str(origin) == shown


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "//host/x",
        "/v2/",
        "https:///x",
        "https://user@host/",
        "https://trusted.example@evil.example/",
        "https://host:99999/",
        "https://host:x/",
        "https://ho st/",
        "https://host/\r\nX: y",
        "https://host\\@evil/",
        "https://[::1/",
    ],
)
def test_urls_that_could_be_read_in_two_ways_are_refused(url: str) -> None:
    with pytest.raises(RegistryError):
        Origin.of(url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST.", "a.localhost", "127.1", "0x7f000001",
     "2130706433", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_loopback_is_known_in_every_spelling(host: str) -> None:
    assert is_loopback(host)
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "::ffff:169.254.1.1", "0xa9fea9fe",
             "2002:7f00:1::"]
)  # fmt: skip
def test_the_link_and_the_unspecified_address_are_local_but_not_loopback(host: str) -> None:
    assert is_local(host)
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["registry.example", "10.0.0.1", "192.168.1.1", "2001:db8::1", "localhost.example", "mylocalhost", "é"],
)
def test_other_hosts_are_not_local(host: str) -> None:
    assert not is_local(host)
    assert not is_loopback(host)


def test_an_authority_splits_into_host_and_port() -> None:
    assert split_authority("host:5000") == ("host", 5000)
    assert split_authority("[::1]:5000") == ("::1", 5000)
    assert split_authority("host") == ("host", None)


def test_an_authority_with_an_impossible_port_is_refused() -> None:
    with pytest.raises(RegistryError):
        split_authority("host:70000")
