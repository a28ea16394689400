"""Credential helpers: ``docker-credential-NAME`` programs. docker's credential helper protocol.

A helper is told one server URL and answers for that one; `list`, which tells all, is never asked for.
"""

import re
from collections.abc import Callable, Mapping

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDocument, MissingFeature, RegistryError, UsageError
from layerstore.oci.document import dump, parse_object, text
from registry_client.docker_config import Credential

TIMEOUT = 60.0
"""Seconds a helper may take; one may ask a person."""
MAX_ANSWER = 1 << 20
"""Bytes of a helper's answer that are read."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105  # the protocol's mark of an identity token, no secret


@dataclass(frozen=True, slots=True)
class Answer:
    """How a helper ended."""

    status: int
    output: bytes


Run = Callable[[str, str, bytes], Answer]
"""Runs the program with one verb and standard input."""


class CredentialHelper:
    """One helper program."""

    def __init__(self, name: str, run: Run) -> None:
        """Raises `UsageError` for a name that is no program's."""
        if not _NAME.match(name):
            raise UsageError(f"cannot use the credential helper {name[:80]!r}: not a plain name")
        self._program = f"docker-credential-{name}"
        self._run = run

    def get(self, server: str) -> Credential | None:
        """The credential for `server`; None where the helper has none.

        Raises `RegistryError`, `LimitExceeded`, `MissingFeature` where the program is not there.
        """
        answer = self._run(self._program, "get", server.encode())
        said = answer.output[:MAX_ANSWER].decode(errors="replace").strip()
        if answer.status != 0:
            if _NOT_FOUND in said.lower():
                return None
            raise RegistryError(f"cannot ask {self._program} about {server}: {_line(said)}")
        try:
            document = parse_object(answer.output, f"the answer of {self._program}", limit=MAX_ANSWER)
            username, secret = text(document, "Username"), text(document, "Secret")
        except InvalidDocument as error:
            raise RegistryError(error.message) from error
        if username == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(username, secret) if username or secret else None

    def store(self, server: str, credential: Credential) -> None:
        """Let the helper keep `credential` for `server`. Raises `RegistryError`."""
        username = _TOKEN_USER if credential.identity_token else credential.username
        secret = credential.identity_token or credential.password
        document = dump({"ServerURL": server, "Username": username, "Secret": secret})
        self._expect_success("store", document, server)

    def erase(self, server: str) -> None:
        """Let the helper forget `server`. Raises `RegistryError`."""
        self._expect_success("erase", server.encode(), server)

    def _expect_success(self, verb: str, data: bytes, server: str) -> None:
        answer = self._run(self._program, verb, data)
        said = answer.output[:MAX_ANSWER].decode(errors="replace").strip()
        if answer.status != 0 and _NOT_FOUND not in said.lower():
            raise RegistryError(f"cannot let {self._program} {verb} {server}: {_line(said)}")


def _line(said: str) -> str:
    return next(iter(said.splitlines()), "it failed")[:200]


def runner(environment: Mapping[str, str]) -> Run:
    """Runs helpers found on the PATH of `environment`, with that environment."""

    def run(program: str, verb: str, data: bytes) -> Answer:
        import subprocess  # noqa: PLC0415 - most users have no helper, and every pull imports this module

        try:
            done = subprocess.run(
                [program, verb],
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                timeout=TIMEOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise MissingFeature(
                f"cannot run {program}: not found", hint="install it, or edit ~/.docker/config.json"
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RegistryError(f"cannot run {program}: {type(error).__name__}") from error
        return Answer(done.returncode, done.stdout)

    return run
