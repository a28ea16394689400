"""A registry's refusals as our errors: one clear line each. Distribution specification, "Error Codes"."""

from collections.abc import Mapping

from layerstore.dataclass import dataclass
from layerstore.errors import (
    ContentMismatch,
    LimitExceeded,
    LstoreError,
    NotFound,
    RegistryError,
    Unauthorized,
)
from layerstore.oci.document import parse_object
from layerstore.oci.reference import DEFAULT_REGISTRY
from registry_client.messages import Response
from registry_client.retry import TEMPORARY

MAX_ERROR = 64 << 10
"""Bytes of an error's body that are read."""
_MAX_SHOWN = 200
_MISMATCHES = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was about, for people."""

    registry: str
    name: str
    """registry/repository."""
    what: str
    """The thing itself: an image, a blob, a list."""
    verb: str = "pull"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The first error of a body: its code in upper case and a printable line; empty where there is none."""

    code: str = ""
    message: str = ""


def explanation(response: Response) -> Explanation:
    """What the body of a refusal says. Never raises: the status is explanation enough."""
    try:
        raw = response.read_all(MAX_ERROR, "error")
    except LstoreError:
        return Explanation()
    try:
        document = parse_object(raw, "error", limit=MAX_ERROR)
    except LstoreError:
        return Explanation()
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document
    if not isinstance(first, Mapping):
        return Explanation()
    # Harbor, GitHub and token servers say "message", "error" or "details" at the top.
    said = (first.get(key) for key in ("message", "error_description", "details", "error"))
    message = next((each for each in said if isinstance(each, str) and each), "")
    code = first.get("code")
    return Explanation(code.upper()[:_MAX_SHOWN] if isinstance(code, str) else "", _printable(message))


def _printable(message: str) -> str:
    line = "".join(each if each.isprintable() else " " for each in message[: 4 * _MAX_SHOWN])
    return " ".join(line.split())[:_MAX_SHOWN]


def failure(response: Response, asked: Asked) -> LstoreError:
    """The error that `response`, a refusal, stands for. Reads and closes it."""
    with response:
        said = explanation(response)
    status = response.status
    because = f": {said.message}" if said.message else ""
    if status == 401:
        return _login_wanted(asked, status)
    if status == 403:
        return Unauthorized(
            f"{asked.verb} access denied for {asked.name}{because}",
            hint=f"lstore login {asked.registry}",
            status=status,
        )
    if status == 404:
        return _not_found(said, asked)
    if status == 429 or said.code == "TOOMANYREQUESTS":
        return _rate_limited(asked, because, status)
    if said.code in _MISMATCHES:
        return ContentMismatch(f"{asked.registry} refused {asked.what}{because}")
    if status == 413:
        return LimitExceeded(f"{asked.registry} takes nothing as large as {asked.what}{because}")
    return RegistryError(
        f"cannot {asked.verb} {asked.what}: {asked.registry} answered {status}{because}",
        status=status,
        is_temporary=status in TEMPORARY,
    )


def _login_wanted(asked: Asked, status: int) -> Unauthorized:
    return Unauthorized(
        f"{asked.verb} access denied for {asked.name}: repository does not exist or may require login",
        hint=f"lstore login {asked.registry}",
        status=status,
    )


def _not_found(said: Explanation, asked: Asked) -> NotFound:
    if said.code == "NAME_UNKNOWN" and asked.verb == "pull":
        return NotFound(f"{asked.what} not found: {asked.registry} has no such repository")
    return NotFound(f"{asked.what} not found")


def _rate_limited(asked: Asked, because: str, status: int) -> RegistryError:
    hint = f"lstore login {asked.registry}" if asked.registry == DEFAULT_REGISTRY else None
    return RegistryError(
        f"rate limit of {asked.registry} reached for {asked.name}{because}",
        hint=hint,
        status=status,
        is_temporary=True,
    )
