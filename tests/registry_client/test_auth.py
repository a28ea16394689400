"""The authentication dance, with no network: requests are looked at, responses made up."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from layerstore.content import BytesReader
from layerstore.errors import LimitExceeded, RegistryError, Unauthorized
from registry_client.auth import MAX_TOKEN_ANSWER, authenticate
from registry_client.authority import Authority
from registry_client.docker_config import Credential
from registry_client.messages import Headers, Request, Response
from registry_client.origin import Origin
from registry_client.scope import PULL, PUSH, Access, Scope

URL = "https://registry.example/v2/team/app/manifests/latest"
BEARER = 'Bearer realm="https://auth.example/token",service="registry.example"'
ACCESS = Access("registry.example", "team/app", frozenset({Scope.repository("team/app", PULL)}))
ALICE = Credential("alice", "secret")


class _Body(BytesReader):
    def close(self) -> None:
        pass


class Keyring:
    """Credentials by registry, and who was asked about."""

    def __init__(self, found: dict[str, Credential]) -> None:
        self._found = found
        self.asked: list[str] = []

    def credential(self, registry: str, repository: str) -> Credential | None:
        self.asked.append(registry)
        return self._found.get(registry)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def response(status: int, *, challenge: str | None = None, body: bytes = b"", url: str = URL) -> Response:
    fields = [] if challenge is None else [("WWW-Authenticate", challenge)]
    return Response(status, Headers(fields), url, _Body(body))


def token(value: str, **more: object) -> Response:
    return response(200, body=json.dumps({"token": value, **more}).encode())


def authority(credential: Credential | None = None, clock: Clock | None = None) -> Authority:
    return Authority(
        Keyring({} if credential is None else {"registry.example": credential}), clock or Clock()
    )


def dance(known: Authority, *responses: Response, access: Access = ACCESS, url: str = URL) -> list[Request]:
    """The requests of one authenticated exchange in which the server gives `responses`."""
    flow = authenticate(Request("GET", url), access, known)
    requests = [next(flow)]
    for each in responses:
        try:
            requests.append(flow.send(each))
        except StopIteration:
            return requests
    raise AssertionError("the flow asks for more than there are responses")


def shown(request: Request) -> str | None:
    return request.headers.get("Authorization")


def test_an_open_registry_sees_no_credentials_and_nobody_looks_for_any() -> None:
    keyring = Keyring({"registry.example": ALICE})

    (request,) = dance(Authority(keyring, Clock()), response(200))

    assert shown(request) is None
    assert keyring.asked == []


def test_an_anonymous_token_is_fetched_and_shown() -> None:
    bare, asking, again = dance(authority(), response(401, challenge=BEARER), token("t1"), response(200))

    assert shown(bare) is None
    assert shown(asking) is None
    parts = urlsplit(asking.url)
    assert (parts.netloc, parts.path) == ("auth.example", "/token")
    assert parse_qs(parts.query) == {"service": ["registry.example"], "scope": ["repository:team/app:pull"]}
    assert shown(again) == "Bearer t1"


def test_a_password_goes_to_the_token_server_and_only_the_token_to_the_registry() -> None:
    _, asking, again = dance(authority(ALICE), response(401, challenge=BEARER), token("t1"), response(200))

    assert shown(asking) == ALICE.basic == "Basic " + base64.b64encode(b"alice:secret").decode()
    assert shown(again) == "Bearer t1"


def test_an_identity_token_is_traded_by_post() -> None:
    known = authority(Credential(identity_token="refresh"))

    _, asking, again = dance(
        known, response(401, challenge=BEARER), response(200, body=b'{"access_token": "t2"}'), response(200)
    )

    assert asking.method == "POST"
    assert shown(asking) is None
    assert isinstance(asking.body, bytes)
    form = parse_qs(asking.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh"]
    assert form["scope"] == ["repository:team/app:pull"]
    assert "refresh" not in asking.url
    assert shown(again) == "Bearer t2"


def test_a_token_is_used_again_until_shortly_before_its_end() -> None:
    clock = Clock()
    known = authority(clock=clock)
    dance(known, response(401, challenge=BEARER), token("t1", expires_in=300), response(200))

    clock.now += 290
    (early,) = dance(known, response(200))
    clock.now += 6
    asking, late = dance(known, token("t2"), response(200))

    assert shown(early) == "Bearer t1"
    assert asking.url.startswith("https://auth.example/token")
    assert shown(late) == "Bearer t2"


def test_a_token_without_a_lifetime_lasts_a_minute() -> None:
    clock = Clock()
    known = authority(clock=clock)
    dance(known, response(401, challenge=BEARER), token("t1", expires_in=0), response(200))

    clock.now += 54
    assert len(dance(known, response(200))) == 1
    clock.now += 2
    assert len(dance(known, token("t2"), response(200))) == 2


def test_a_token_that_is_refused_before_its_end_is_replaced_once() -> None:
    known = authority()
    dance(known, response(401, challenge=BEARER), token("t1"), response(200))

    requests = dance(known, response(401, challenge=BEARER), token("t2"), response(401, challenge=BEARER))

    assert [shown(each) for each in requests] == ["Bearer t1", None, "Bearer t2"]


def test_another_scope_gets_its_own_token_without_asking_the_registry_first() -> None:
    known = authority()
    dance(known, response(401, challenge=BEARER), token("t1"), response(200))
    pushing = Access(
        "registry.example", "team/app", frozenset({Scope.repository("team/app", PUSH)})
    ).with_scopes([Scope.repository("team/base", PULL)])

    asking, again = dance(known, token("t2"), response(202), access=pushing)

    assert parse_qs(urlsplit(asking.url).query)["scope"] == [
        "repository:team/app:pull,push",
        "repository:team/base:pull",
    ]
    assert shown(again) == "Bearer t2"


def test_without_scopes_of_our_own_the_challenges_are_asked_for() -> None:
    challenge = BEARER + ',scope="registry:catalog:*"'

    _, asking, _ = dance(
        authority(),
        response(401, challenge=challenge),
        token("t"),
        response(200),
        access=Access("registry.example"),
    )

    assert parse_qs(urlsplit(asking.url).query)["scope"] == ["registry:catalog:*"]


def test_basic_is_answered_with_the_password_and_remembered() -> None:
    known = authority(ALICE)

    first = dance(known, response(401, challenge='Basic realm="x"'), response(200))
    second = dance(known, response(200))

    assert [shown(each) for each in first + second] == [None, ALICE.basic, ALICE.basic]


def test_a_password_that_is_refused_is_not_shown_again() -> None:
    known = authority(ALICE)
    dance(known, response(401, challenge="Basic realm=x"), response(200))

    assert len(dance(known, response(401, challenge="Basic realm=x"))) == 1


def test_bearer_is_preferred_where_both_are_asked_for() -> None:
    challenge = f"Basic realm=x, {BEARER}"

    _, asking, _ = dance(authority(ALICE), response(401, challenge=challenge), token("t"), response(200))

    assert asking.url.startswith("https://auth.example/")


@pytest.mark.parametrize("challenge", [None, "Negotiate", 'Basic realm="x"'])
def test_a_challenge_that_cannot_be_met_leaves_the_refusal_as_the_answer(challenge: str | None) -> None:
    assert len(dance(authority(), response(401, challenge=challenge))) == 1


def test_a_refusal_that_came_from_elsewhere_is_not_answered_with_our_credentials() -> None:
    elsewhere = response(401, challenge='Basic realm="x"', url="https://cdn.example/blob")

    assert len(dance(authority(ALICE), elsewhere)) == 1


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token",
        "https://127.0.0.1/token",
        "https://localhost:8080/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/token",
        "https://0x7f000001/token",
        "https://user@auth.example/token",
        "ftp://auth.example/token",
        "/token",
        "",
    ],
)
def test_a_realm_that_a_public_registry_must_not_name_gets_no_request(realm: str) -> None:
    keyring = Keyring({"registry.example": ALICE})
    flow = authenticate(Request("GET", URL), ACCESS, Authority(keyring, Clock()))
    next(flow)

    with pytest.raises(Unauthorized):
        flow.send(response(401, challenge=f'Bearer realm="{realm}"'))


def test_a_loopback_registry_may_have_a_loopback_token_server() -> None:
    url = "http://127.0.0.1:5000/v2/team/app/manifests/latest"
    challenge = 'Bearer realm="http://127.0.0.1:5001/token"'

    requests = dance(
        authority(), response(401, challenge=challenge, url=url), token("t"), response(200, url=url), url=url
    )

    assert requests[1].url.startswith("http://127.0.0.1:5001/token?")
    assert not requests[1].is_kept_public


def test_a_public_registrys_token_server_must_not_resolve_to_this_machine() -> None:
    _, asking, _ = dance(authority(), response(401, challenge=BEARER), token("t"), response(200))

    assert asking.is_kept_public


def test_a_realm_with_a_query_keeps_it() -> None:
    challenge = 'Bearer realm="https://auth.example/token?tenant=1",service=s'

    _, asking, _ = dance(authority(), response(401, challenge=challenge), token("t"), response(200))

    assert parse_qs(urlsplit(asking.url).query)["tenant"] == ["1"]
    assert parse_qs(urlsplit(asking.url).query)["service"] == ["s"]


def refused(known: Authority, answer: Response) -> None:
    flow = authenticate(Request("GET", URL), ACCESS, known)
    next(flow)
    flow.send(response(401, challenge=BEARER))
    flow.send(answer)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_password_is_said_to_be_one(status: int) -> None:
    with pytest.raises(Unauthorized, match="refused the user name or password: no such user") as caught:
        refused(authority(ALICE), response(status, body=b'{"details": "no such user"}'))

    assert caught.value.hint == "lstore login registry.example"
    assert "secret" not in str(caught.value)


def test_a_token_server_that_wants_a_login_is_said_to_want_one() -> None:
    with pytest.raises(Unauthorized, match=r"no anonymous access to registry\.example/team/app"):
        refused(authority(), response(401))


@pytest.mark.parametrize(("status", "is_temporary"), [(404, False), (429, True), (500, True), (503, True)])
def test_a_token_server_that_fails_is_a_typed_error(status: int, is_temporary: bool) -> None:
    with pytest.raises(RegistryError, match=str(status)) as caught:
        refused(authority(), response(status))

    assert caught.value.is_temporary == is_temporary


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": ""}', b'{"token": 1}', b'{"token": "a\\r\\nX: y"}',
             b'{"token": "a b"}', b'{"token": "t", "expires_in": -1}', b'{"token": "\\u00e9"}']
)  # fmt: skip
def test_an_answer_without_a_usable_token_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(RegistryError):
        refused(authority(), response(200, body=body))


def test_a_token_answer_without_end_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        refused(authority(), response(200, body=b" " * (MAX_TOKEN_ANSWER + 1)))


def test_credentials_are_looked_up_once_for_a_repository() -> None:
    keyring = Keyring({"registry.example": ALICE})
    known = Authority(keyring, Clock())

    for _ in range(3):
        known.credential(ACCESS)

    assert keyring.asked == ["registry.example"]


def test_a_newer_token_of_another_thread_survives_the_rejection_of_an_old_one() -> None:
    known = authority()
    origin = Origin.of(URL)
    dance(known, response(401, challenge=BEARER), token("new"), response(200))

    known.reject(origin, ACCESS, "old")
    assert known.token(origin, ACCESS) == "new"

    known.reject(origin, ACCESS, "new")
    assert known.token(origin, ACCESS) is None


def test_a_token_of_one_origin_is_not_shown_at_another() -> None:
    known = authority()
    dance(known, response(401, challenge=BEARER), token("t"), response(200))

    (request,) = dance(known, response(200), url="http://registry.example/v2/")

    assert shown(request) is None
