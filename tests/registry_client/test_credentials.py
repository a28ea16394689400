"""Who we are: files in their order, and helpers asked for one host only."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from layerstore.errors import InvalidDocument, MissingFeature, RegistryError, StorageError, UsageError
from registry_client.credential_helper import Answer, CredentialHelper, runner
from registry_client.credentials import CredentialFiles, files
from registry_client.docker_config import HUB_KEY, Credential

ALICE = Credential("alice", "secret")


class FakeHelpers:
    """Helper programs that keep what they are told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        self.kept: dict[str, Mapping[str, str]] = {}

    def __call__(self, program: str, verb: str, data: bytes) -> Answer:
        self.calls.append((program, verb, data))
        if verb == "store":
            document = json.loads(data)
            self.kept[document["ServerURL"]] = document
            return Answer(0, b"")
        server = data.decode()
        if server not in self.kept:
            return Answer(1, b"credentials not found in native keychain\n")
        if verb == "erase":
            del self.kept[server]
            return Answer(0, b"")
        return Answer(0, json.dumps(self.kept[server]).encode())


def write(path: Path, document: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return str(path)


def auths(user: str, registry: str = "a.example") -> object:
    return {"auths": {registry: {"username": user, "password": "x"}}}


def test_files_stand_in_their_order_and_the_named_file_alone_counts() -> None:
    environment = {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1"}

    assert files(environment) == (
        "/home/u/.docker/config.json",
        "/run/user/1/containers/auth.json",
        "/home/u/.config/containers/auth.json",
    )
    assert files({**environment, "DOCKER_CONFIG": "/d"})[0] == "/d/config.json"
    assert files({**environment, "REGISTRY_AUTH_FILE": "/named.json"}) == ("/named.json",)
    assert files({}) == ()


def test_the_first_file_that_knows_the_registry_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "first", auths("first"))
    second = write(
        tmp_path / "second", {"auths": {**auths("second")["auths"], **auths("only", "b.example")["auths"]}}
    )
    credentials = CredentialFiles((str(tmp_path / "absent"), first, second), FakeHelpers())

    a, b = credentials.credential("a.example", "x"), credentials.credential("b.example", "x")

    assert a is not None
    assert b is not None
    assert (a.username, b.username) == ("first", "only")
    assert credentials.credential("c.example", "x") is None


def test_a_helper_is_asked_for_the_host_at_hand_and_no_other(tmp_path: Path) -> None:
    helpers = FakeHelpers()
    helpers.kept["a.example"] = {"Username": "alice", "Secret": "secret"}
    path = write(tmp_path / "config.json", {"credHelpers": {"a.example": "one", "b.example": "two"}})
    credentials = CredentialFiles((path,), helpers)

    found = credentials.credential("a.example", "x")
    other = credentials.credential("c.example", "x")

    assert found == ALICE
    assert other is None
    assert helpers.calls == [("docker-credential-one", "get", b"a.example")]


def test_a_helper_that_knows_nothing_lets_the_file_speak(tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"credsStore": "pass", **auths("alice")})

    found = CredentialFiles((path,), FakeHelpers()).credential("a.example", "x")

    assert found == Credential("alice", "x")


def test_an_identity_token_comes_from_a_helper_under_the_protocols_mark() -> None:
    helpers = FakeHelpers()
    helper = CredentialHelper("pass", helpers)

    helper.store("a.example", Credential("alice", "", "identity"))

    assert helpers.kept["a.example"]["Username"] == "<token>"
    assert helper.get("a.example") == Credential(identity_token="identity")


def test_login_writes_the_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.json"
    credentials = CredentialFiles((str(path),), FakeHelpers())

    credentials.store("docker.io", ALICE)

    assert credentials.credential("docker.io", "library/debian") == ALICE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(json.loads(path.read_text())["auths"]) == [HUB_KEY]


def test_login_with_a_helper_leaves_no_secret_in_the_file(tmp_path: Path) -> None:
    helpers = FakeHelpers()
    path = write(tmp_path / "config.json", {"credsStore": "pass"})
    credentials = CredentialFiles((path,), helpers)

    credentials.store("a.example", ALICE)

    assert credentials.credential("a.example", "") == ALICE
    assert json.loads(Path(path).read_text()) == {"auths": {"a.example": {}}, "credsStore": "pass"}


def test_login_writes_through_a_link(tmp_path: Path) -> None:
    write(tmp_path / "dotfiles" / "config.json", {})
    link = tmp_path / "config.json"
    link.symlink_to("dotfiles/config.json")

    CredentialFiles((str(link),), FakeHelpers()).store("a.example", ALICE)

    assert link.is_symlink()
    assert "a.example" in (tmp_path / "dotfiles" / "config.json").read_text()


def test_logout_forgets_the_registry_in_every_file_and_helper(tmp_path: Path) -> None:
    helpers = FakeHelpers()
    helpers.kept["a.example"] = {"Username": "alice", "Secret": "x"}
    first = write(tmp_path / "first", {"credsStore": "pass", "auths": {"a.example": {}}})
    second = write(tmp_path / "second", auths("alice"))
    credentials = CredentialFiles((first, second), helpers)

    assert credentials.erase("a.example")
    assert credentials.credential("a.example", "") is None
    assert not credentials.erase("a.example")


def test_logins_need_somewhere_to_be_written() -> None:
    with pytest.raises(UsageError):
        CredentialFiles((), FakeHelpers()).store("a.example", ALICE)


def test_a_broken_entry_names_its_file_and_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"auths": {"a.example": {"auth": "!"}}})

    with pytest.raises(InvalidDocument) as caught:
        CredentialFiles((path,), FakeHelpers()).credential("a.example", "")

    assert path in caught.value.message
    assert caught.value.hint == "lstore login a.example"


def test_a_file_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        CredentialFiles((str(tmp_path),), FakeHelpers()).credential("a.example", "")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "-x", "a b", "a\n"])
def test_a_helper_has_a_plain_name(name: str) -> None:
    with pytest.raises(UsageError):
        CredentialHelper(name, FakeHelpers())


@pytest.mark.parametrize(
    "answer", [Answer(1, b"locked"), Answer(0, b"{"), Answer(0, b"[]"), Answer(0, b'{"Username": 1}')]
)
def test_a_helper_that_fails_is_a_typed_error(answer: Answer) -> None:
    with pytest.raises(RegistryError):
        CredentialHelper("pass", lambda *_: answer).get("a.example")


@pytest.mark.parametrize("verb", ["store", "erase"])
def test_a_helper_that_refuses_to_keep_or_forget_is_a_typed_error(verb: str) -> None:
    helper = CredentialHelper("pass", lambda *_: Answer(1, b"locked"))

    with pytest.raises(RegistryError, match=f"{verb} a.example: locked"):
        helper.store("a.example", ALICE) if verb == "store" else helper.erase("a.example")


def test_a_real_program_is_run_with_the_callers_environment(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-fake"
    program.write_text(
        '#!/bin/sh\nread server\nprintf \'{"Username":"%s","Secret":"%s"}\' "$1-$server" "$KEY"\n'
    )
    program.chmod(0o755)
    helper = CredentialHelper(
        "fake", runner({"PATH": f"{tmp_path}:/usr/bin:/bin", "KEY": "from environment"})
    )

    assert helper.get("a.example") == Credential("get-a.example", "from environment")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFeature, match="docker-credential-absent"):
        CredentialHelper("absent", runner({"PATH": str(tmp_path)})).get("a.example")


def test_a_program_that_cannot_run_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "docker-credential-broken").write_text("#!/absent/interpreter-of-nothing/x" + "y" * 5000)
    (tmp_path / "docker-credential-broken").chmod(0o755)

    with pytest.raises((RegistryError, MissingFeature)):
        CredentialHelper("broken", runner({"PATH": str(tmp_path)})).get("a.example")


def test_a_file_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError):
        CredentialFiles((str(tmp_path / "file" / "config.json"),), FakeHelpers()).store("a.example", ALICE)


def test_the_environment_says_whose_files_count(tmp_path: Path) -> None:
    write(tmp_path / ".docker" / "config.json", auths("alice"))

    found = CredentialFiles.of_environment({"HOME": str(tmp_path)}).credential("a.example", "x")

    assert found == Credential("alice", "x")
