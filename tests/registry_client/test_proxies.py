"""Proxies from the environment, as Go's and curl's users expect them."""

from collections.abc import Mapping

import pytest

from layerstore.errors import UsageError
from registry_client.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://registry.example/v2/", PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https://registry.example/", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://registry.example/", None),
        ({"HTTP_PROXY": PROXY}, "http://mirror.example/", PROXY),
        ({"ALL_PROXY": PROXY}, "http://mirror.example/", PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "https://registry.example/", PROXY),
        ({"HTTPS_PROXY": " "}, "https://registry.example/", None),
        ({}, "https://registry.example/", None),
    ],
)
def test_the_variable_of_the_scheme_decides(
    environment: Mapping[str, str], url: str, proxy: str | None
) -> None:
    assert proxy_for(url, environment) == proxy


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000/", "https://localhost/", "http://[::1]:5000/"])
def test_this_machine_is_never_reached_through_a_proxy(url: str) -> None:
    assert proxy_for(url, {"ALL_PROXY": PROXY}) is None


@pytest.mark.parametrize(
    ("rules", "host", "is_exempt"),
    [
        ("*", "registry.example", True),
        ("example", "registry.example", True),
        ("registry.example", "registry.example", True),
        ("REGISTRY.example", "registry.example", True),
        ("registry.example", "myregistry.example", False),
        (".example", "registry.example", True),
        (".registry.example", "registry.example", False),
        ("*.example", "registry.example", True),
        ("other, registry.example ,", "registry.example", True),
        ("registry.example:443", "registry.example", True),
        ("registry.example:5000", "registry.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "registry.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]", True),
        ("[fd00::1]:443", "[fd00::1]", True),
        ("not/anetwork", "registry.example", False),
    ],
)
def test_no_proxy_exempts_names_suffixes_addresses_networks_and_ports(
    rules: str, host: str, is_exempt: bool
) -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": rules}

    assert (proxy_for(f"https://{host}/v2/", environment) is None) == is_exempt


@pytest.mark.parametrize("proxy", ["ftp://proxy.example", "file:///etc/passwd"])
def test_a_proxy_of_an_unknown_kind_is_refused(proxy: str) -> None:
    with pytest.raises(UsageError, match="cannot use the proxy"):
        proxy_for("https://registry.example/", {"HTTPS_PROXY": proxy})


def test_a_cgi_servers_proxy_variable_is_not_believed() -> None:
    assert proxy_for("http://mirror.example/", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}) is None
