"""The authentication dance as a generator: it yields requests and is sent their responses, as httpx does it.

Distribution's token authentication ("Token Authentication Specification", "Oauth2 Token Authentication")
and RFC 7617's Basic. Nothing here touches the network.
"""

import re
from collections.abc import Generator
from urllib.parse import urlencode

from layerstore.errors import InvalidDocument, RegistryError, Unauthorized
from layerstore.oci.document import Object, natural, parse_object, text
from registry_client.authority import Authority, Token
from registry_client.challenge import Challenge, parse_challenges
from registry_client.docker_config import Credential
from registry_client.failures import explanation
from registry_client.messages import Request, Response
from registry_client.origin import Origin, is_local
from registry_client.scope import Access

MAX_TOKEN_ANSWER = 1 << 20
"""Bytes of a token server's answer."""
CLIENT_ID = "lstore"
_DEFAULT_LIFETIME = 60
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")
_FORM = "application/x-www-form-urlencoded"

Flow = Generator[Request, Response, None]


def authenticate(request: Request, access: Access, authority: Authority) -> Flow:
    """Yields `request` with whatever its server wants to see, token requests before it where needed.

    The response sent last is the answer; a 401 that no credential of ours cures is left to the caller.
    Raises `Unauthorized` where a token server refuses, or where it may not be asked.
    """
    origin = Origin.of(request.url)
    known = authority.challenge(origin)
    shown = None if known is None else (yield from _authorization(known, origin, access, authority))
    response = yield request.with_header("Authorization", shown)
    if response.status != 401 or Origin.of(response.url) != origin:
        return
    challenge = _best(parse_challenges(response.headers.all("www-authenticate")))
    if challenge is None:
        return
    authority.learn(origin, challenge)
    authority.reject(origin, access, shown.removeprefix("Bearer ") if shown else None)
    fresh = yield from _authorization(challenge, origin, access, authority)
    if fresh is not None and fresh != shown:
        yield request.with_header("Authorization", fresh)


def _best(challenges: tuple[Challenge, ...]) -> Challenge | None:
    by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
    return by_scheme.get("bearer") or by_scheme.get("basic")


def _authorization(
    challenge: Challenge, origin: Origin, access: Access, authority: Authority
) -> Generator[Request, Response, str | None]:
    """The value of the Authorization field; None where there is nothing to show."""
    if challenge.scheme == "basic":
        credential = authority.credential(access)
        return credential.basic if credential is not None and not credential.identity_token else None
    value = authority.token(origin, access)
    if value is None:
        credential = authority.credential(access)
        response = yield token_request(challenge, origin, access, credential)
        token = _read_token(response, access, credential, authority.now())
        authority.keep(origin, access, token)
        value = token.value
    return f"Bearer {value}"


def token_request(
    challenge: Challenge, origin: Origin, access: Access, credential: Credential | None
) -> Request:
    """What to ask the token server that `origin` named. Raises `Unauthorized` if it may not be asked."""
    realm = challenge.parameters.get("realm", "")
    realm_origin = _checked_realm(realm, origin, access)
    scopes = access.scope_texts or tuple(challenge.parameters.get("scope", "").split())
    is_kept_public = not is_local(origin.host) and realm_origin.host != origin.host
    service = challenge.parameters.get("service", "")
    if credential is not None and credential.identity_token:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credential.identity_token,
            "client_id": CLIENT_ID,
            "service": service,
            "scope": " ".join(scopes),
        }
        body = urlencode({name: value for name, value in form.items() if value}).encode()
        return Request("POST", realm, {"Content-Type": _FORM}, body, is_kept_public)
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers: dict[str, str] = {}
    if credential is not None:
        query.append(("account", credential.username))
        headers["Authorization"] = credential.basic
    separator = "&" if "?" in realm else "?"
    url = f"{realm}{separator}{urlencode(query)}" if query else realm
    return Request("GET", url, headers, is_kept_public=is_kept_public)


def _checked_realm(realm: str, origin: Origin, access: Access) -> Origin:
    """Where `realm` leads. CVE-2020-15157, CVE-2026-48978: a registry must not aim our credentials."""
    try:
        there = Origin.of(realm)
    except RegistryError as error:
        raise Unauthorized(f"{access.registry} names no usable token server: {error.message}") from error
    if origin.scheme == "https" and there.scheme != "https":
        raise Unauthorized(f"{access.registry} names the token server {there}, without TLS: refused")
    if is_local(there.host) and not is_local(origin.host):
        raise Unauthorized(
            f"{access.registry} names the token server {there}, which is this machine or its link: refused"
        )
    return there


def _read_token(response: Response, access: Access, credential: Credential | None, now: float) -> Token:
    if response.status != 200:
        raise _refusal(response, access, credential)
    raw = response.read_all(MAX_TOKEN_ANSWER, f"the token of {access.registry}")
    try:
        document = parse_object(raw, f"the token of {access.registry}", limit=MAX_TOKEN_ANSWER)
        value = text(document, "token") or text(document, "access_token")
        lifetime = _lifetime(document)
    except InvalidDocument as error:
        raise RegistryError(error.message) from error
    if not _TOKEN.match(value):
        raise RegistryError(f"the token server of {access.registry} gave no usable token")
    return Token.lasting(value, lifetime, now)


def _lifetime(document: Object) -> int:
    return natural(document, "expires_in", _DEFAULT_LIFETIME) or _DEFAULT_LIFETIME


def _refusal(response: Response, access: Access, credential: Credential | None) -> RegistryError:
    said = explanation(response)
    because = f": {said.message}" if said.message else ""
    login = f"lstore login {access.registry}"
    if response.status in (400, 401, 403):
        if credential is None:
            name = f" to {access.registry}/{access.repository}" if access.repository else ""
            return Unauthorized(f"{access.registry} gives no anonymous access{name}{because}", hint=login)
        return Unauthorized(f"{access.registry} refused the user name or password{because}", hint=login)
    is_temporary = response.status == 429 or response.status >= 500
    return RegistryError(
        f"the token server of {access.registry} answered {response.status}{because}",
        status=response.status,
        is_temporary=is_temporary,
    )
