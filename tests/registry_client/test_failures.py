"""A registry's refusals as one clear line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.content import BytesReader
from layerstore.errors import (
    ContentMismatch,
    LimitExceeded,
    LstoreError,
    NotFound,
    RegistryError,
    Unauthorized,
)
from registry_client.failures import MAX_ERROR, Asked, explanation, failure
from registry_client.messages import Headers, Response

ASKED = Asked("docker.io", "docker.io/library/x", "docker.io/library/x:tag")


class _Body(BytesReader):
    def close(self) -> None:
        pass


def response(status: int, body: bytes = b"") -> Response:
    return Response(status, Headers(), "https://registry-1.docker.io/v2/", _Body(body))


def errors(code: str, message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (
            401,
            errors("UNAUTHORIZED"),
            Unauthorized,
            "pull access denied for docker.io/library/x: repository does not exist or may require login",
        ),
        (
            403,
            errors("DENIED", "not yours"),
            Unauthorized,
            "pull access denied for docker.io/library/x: not yours",
        ),
        (404, errors("MANIFEST_UNKNOWN", "manifest unknown"), NotFound, "docker.io/library/x:tag not found"),
        (
            404,
            errors("NAME_UNKNOWN"),
            NotFound,
            "docker.io/library/x:tag not found: docker.io has no such repository",
        ),
        (404, b"<html>", NotFound, "docker.io/library/x:tag not found"),
        (
            429,
            errors("TOOMANYREQUESTS", "You have reached your pull rate limit."),
            RegistryError,
            "rate limit of docker.io reached for docker.io/library/x: You have reached your pull rate limit.",
        ),
        (
            400,
            errors("DIGEST_INVALID", "no match"),
            ContentMismatch,
            "docker.io refused docker.io/library/x:tag: no match",
        ),
        (413, b"", LimitExceeded, "docker.io takes nothing as large as docker.io/library/x:tag"),
        (502, b"<html>", RegistryError, "cannot pull docker.io/library/x:tag: docker.io answered 502"),
        (418, b"{}", RegistryError, "cannot pull docker.io/library/x:tag: docker.io answered 418"),
    ],
)
def test_each_refusal_has_its_type_and_its_line(
    status: int, body: bytes, kind: type[LstoreError], message: str
) -> None:
    error = failure(response(status, body), ASKED)

    assert type(error) is kind
    assert error.message == message


def test_what_a_login_may_cure_says_so() -> None:
    assert failure(response(401), ASKED).hint == "lstore login docker.io"
    assert failure(response(403), ASKED).hint == "lstore login docker.io"
    assert failure(response(429), ASKED).hint == "lstore login docker.io"


def test_what_another_try_may_cure_is_temporary() -> None:
    temporary, permanent = failure(response(503), ASKED), failure(response(400), ASKED)

    assert isinstance(temporary, RegistryError)
    assert temporary.is_temporary
    assert isinstance(permanent, RegistryError)
    assert not permanent.is_temporary


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"errors": {}}', b'{"errors": [1]}', b'{"errors": [{"code": 5}]}', b"{" * 9999,
             b"x" * (MAX_ERROR + 1)]
)  # fmt: skip
def test_a_body_that_explains_nothing_is_no_error_of_its_own(body: bytes) -> None:
    assert explanation(response(500, body)).message == ""


@given(st.text())
def test_a_message_is_one_short_printable_line(message: str) -> None:
    said = explanation(response(500, errors("X", message))).message

    assert said.isprintable()
    assert len(said) <= 200


@given(st.binary(max_size=300), st.integers(400, 599))
def test_any_body_becomes_a_typed_error(body: bytes, status: int) -> None:
    assert isinstance(failure(response(status, body), ASKED), LstoreError)
