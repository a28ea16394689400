"""config.json and auth.json as values."""

import base64
import json

import pytest

from layerstore.errors import InvalidDocument, LimitExceeded, UsageError
from registry_client.docker_config import HUB_KEY, MAX_CONFIG, Credential, DockerConfig

ALICE = Credential("alice", "pa:ss")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(document: object) -> DockerConfig:
    return DockerConfig.parse(json.dumps(document).encode(), "config.json")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        (HUB_KEY, "docker.io"),
        ("index.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("registry.example:5000", "registry.example:5000"),
        ("https://registry.example", "registry.example"),
        ("https://registry.example/v1/", "registry.example"),
        ("http://registry.example/v2/", "registry.example"),
    ],
)
def test_a_registry_is_found_under_every_key_that_tools_write(key: str, registry: str) -> None:
    found = config({"auths": {key: {"auth": encoded("alice:pa:ss")}}})

    assert found.credential(registry, "team/app") == ALICE


@pytest.mark.parametrize(
    "key",
    [
        "registry.example.evil.example",
        "evil-registry.example",
        "registry.example:5000",
        "example",
        "team/app",
    ],
)
def test_a_credential_of_another_host_is_never_given(key: str) -> None:
    found = config({"auths": {key: {"auth": encoded("alice:x")}}})

    assert found.credential("registry.example", "team/app") is None


def test_the_most_specific_entry_of_podmans_file_wins() -> None:
    found = config(
        {
            "auths": {
                "registry.example": {"auth": encoded("host:x")},
                "registry.example/team": {"auth": encoded("team:x")},
                "registry.example/team/app": {"auth": encoded("app:x")},
            }
        }
    )

    def user(repository: str) -> str:
        credential = found.credential("registry.example", repository)
        return credential.username if credential else ""

    assert user("team/app") == "app"
    assert user("team/other") == "team"
    assert user("teamwork/app") == "host"


def test_an_identity_token_and_plain_fields_are_read() -> None:
    found = config(
        {
            "auths": {
                "a.example": {"auth": encoded("<token>:"), "identitytoken": "refresh"},
                "b.example": {"username": "alice", "password": "pa:ss"},
                "c.example": {},
            }
        }
    )

    identity = found.credential("a.example", "")

    assert identity is not None
    assert identity.identity_token == "refresh"
    assert found.credential("b.example", "") == ALICE
    assert found.credential("c.example", "") is None


def test_helpers_are_named_per_registry_before_the_common_store() -> None:
    found = config({"credHelpers": {"gcr.example": "gcloud", "docker.io": "hub"}, "credsStore": "pass"})

    assert found.helper("gcr.example") == ("gcloud", "gcr.example")
    assert found.helper("docker.io") == ("hub", HUB_KEY)
    assert found.helper("other.example") == ("pass", "other.example")
    assert config({}).helper("other.example") is None


def test_what_is_stored_is_found_again_and_the_rest_survives() -> None:
    before = config({"auths": {"other.example": {"auth": encoded("bob:x")}}, "psFormat": "table"})

    after = before.with_credential("docker.io", ALICE)

    assert after.credential("docker.io", "library/debian") == ALICE
    document = json.loads(after.dump())
    assert document["psFormat"] == "table"
    assert set(document["auths"]) == {"other.example", HUB_KEY}


def test_storing_again_leaves_one_entry_whatever_the_old_ones_key() -> None:
    before = config({"auths": {"https://registry.example/v1/": {"auth": encoded("old:x")}}})

    after = before.with_credential("registry.example", Credential("alice", "pa:ss", "identity"))

    assert json.loads(after.dump())["auths"] == {
        "registry.example": {"auth": encoded("alice:pa:ss"), "identitytoken": "identity"}
    }


def test_a_registry_can_be_forgotten() -> None:
    before = config({"auths": {"a.example": {"auth": encoded("a:x")}, "b.example": {"auth": encoded("b:x")}}})

    after = before.without("a.example")

    assert not after.has_entry("a.example")
    assert after.has_entry("b.example")


def test_a_helpers_mark_has_no_secret() -> None:
    assert json.loads(config({}).with_credential("a.example", None).dump()) == {"auths": {"a.example": {}}}


def test_an_empty_file_is_an_empty_configuration() -> None:
    assert DockerConfig.parse(b" \n", "config.json").credential("a.example", "") is None


@pytest.mark.parametrize("raw", [b"[]", b"{", b'{"auths": 1}', b'{"auths": {}, "auths": {}}', b"\xff"])
def test_a_broken_file_is_a_typed_error(raw: bytes) -> None:
    with pytest.raises(InvalidDocument):
        DockerConfig.parse(raw, "config.json").credential("a.example", "")


@pytest.mark.parametrize("auth", ["!!!", encoded("no colon"), base64.b64encode(b"\xff:x").decode()])
def test_a_broken_entry_does_not_show_its_secret(auth: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        config({"auths": {"a.example": {"auth": auth}}}).credential("a.example", "")

    assert auth not in str(caught.value)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        DockerConfig.parse(b" " * MAX_CONFIG + b"{}", "config.json")


def test_a_user_name_with_a_colon_cannot_be_stored() -> None:
    with pytest.raises(UsageError):
        config({}).with_credential("a.example", Credential("al:ice", "x"))


def test_a_credentials_secrets_are_not_printed() -> None:
    assert "pa:ss" not in repr(ALICE)
    assert "identity" not in repr(Credential(identity_token="identity"))
