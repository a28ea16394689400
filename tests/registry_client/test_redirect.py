"""Redirects: where they may lead and what stays behind."""

import pytest

from layerstore.content import BytesReader
from layerstore.errors import RegistryError
from registry_client.messages import Headers, Request, Response
from registry_client.redirect import follow, is_redirect, locate

SECRET = {"Authorization": "Bearer secret", "Cookie": "s=1", "Range": "bytes=5-"}


class _Body(BytesReader):
    def close(self) -> None:
        pass


def redirect(url: str, location: str, status: int = 307) -> Response:
    return Response(status, Headers([("Location", location)]), url, _Body(b""))


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/blob",
        "https://registry.example:8443/blob",
        "http://registry.example/blob",
        "//cdn.example/blob",
    ],
)
def test_credentials_stay_behind_at_another_host_port_or_scheme(location: str) -> None:
    request = Request("GET", "https://registry.example/v2/a/blobs/x", SECRET)

    followed = follow(request, redirect(request.url, location))

    assert followed.headers == {"Range": "bytes=5-"}


@pytest.mark.parametrize(
    "location", ["/elsewhere", "https://registry.example/elsewhere", "//registry.example:443/elsewhere"]
)
def test_credentials_come_along_within_an_origin(location: str) -> None:
    request = Request("GET", "https://registry.example/v2/a/blobs/x", SECRET)

    followed = follow(request, redirect(request.url, location))

    assert followed.headers == SECRET
    assert followed.url.endswith("/elsewhere")


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:9/", "http://169.254.169.254/latest", "https://localhost/"]
)
def test_a_public_host_cannot_lead_to_this_machine(location: str) -> None:
    request = Request("GET", "https://registry.example/v2/a/blobs/x")

    with pytest.raises(RegistryError, match="this machine"):
        follow(request, redirect(request.url, location))


def test_a_loopback_registry_may_lead_to_another_loopback_port() -> None:
    request = Request("GET", "http://127.0.0.1:5000/v2/a/blobs/x")

    assert follow(request, redirect(request.url, "http://127.0.0.1:9000/x")).url == "http://127.0.0.1:9000/x"


@pytest.mark.parametrize(
    ("status", "location"), [(307, "https://other.example/"), (302, "/same"), (303, "/same")]
)
def test_a_body_is_not_sent_elsewhere_nor_a_method_changed(status: int, location: str) -> None:
    request = Request("PUT", "https://registry.example/v2/a/manifests/x", body=b"{}")

    with pytest.raises(RegistryError, match="redirects a PUT"):
        follow(request, redirect(request.url, location, status))


@pytest.mark.parametrize(
    "location", ["ftp://host/x", "https://user:pass@host/", "https://[bad/", "javascript:x"]
)
def test_a_location_that_is_no_plain_url_is_refused(location: str) -> None:
    with pytest.raises(RegistryError):
        locate(redirect("https://registry.example/", location))


def test_a_missing_location_is_an_error_unless_there_is_a_default() -> None:
    response = Response(202, Headers(), "https://registry.example/v2/x", _Body(b""))

    with pytest.raises(RegistryError, match="without a location"):
        locate(response)
    assert locate(response, "https://registry.example/here") == "https://registry.example/here"


def test_a_redirect_needs_both_its_status_and_a_location() -> None:
    assert is_redirect(redirect("https://registry.example/", "/x", 301))
    assert not is_redirect(redirect("https://registry.example/", "/x", 201))
    assert not is_redirect(Response(307, Headers(), "https://registry.example/", _Body(b"")))
