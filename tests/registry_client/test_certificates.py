"""certs.d directories, as containers-certs.d(5) and docker describe them."""

from pathlib import Path

import pytest

from layerstore.errors import StorageError, UsageError
from registry_client.certificates import SYSTEM_DIRECTORIES, Trust, directories, trust_for
from registry_client.settings import RegistrySettings, Settings


def place(directory: Path, *names: str) -> str:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).touch()
    return str(directory)


def test_the_users_own_directory_comes_before_the_systems() -> None:
    assert directories({"HOME": "/home/u"}) == ("/home/u/.config/containers/certs.d", *SYSTEM_DIRECTORIES)
    assert directories({"XDG_CONFIG_HOME": "/x"}) == ("/x/containers/certs.d", *SYSTEM_DIRECTORIES)
    assert directories({}) == SYSTEM_DIRECTORIES


def test_authorities_and_client_pairs_of_all_directories_count(tmp_path: Path) -> None:
    first = place(tmp_path / "a" / "host.example:5000", "ca.crt", "client.cert", "client.key", "README")
    second = place(tmp_path / "b" / "host.example:5000", "other.crt")
    place(tmp_path / "b" / "host.example", "unrelated.crt")

    trust = trust_for("host.example:5000", Settings(), (str(tmp_path / "a"), str(tmp_path / "b"), "/absent"))

    assert trust == Trust(
        (f"{first}/ca.crt", f"{second}/other.crt"), ((f"{first}/client.cert", f"{first}/client.key"),)
    )


def test_docker_hubs_directory_may_bear_either_name(tmp_path: Path) -> None:
    folder = place(tmp_path / "docker.io", "ca.crt")

    trust = trust_for("registry-1.docker.io", Settings(), (str(tmp_path),))

    assert trust.authorities == (f"{folder}/ca.crt",)


def test_a_directory_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "host.example").symlink_to("host.example")

    with pytest.raises(StorageError):
        trust_for("host.example", Settings(), (str(tmp_path),))


@pytest.mark.parametrize(("names", "missing"), [(["c.cert"], "c.key"), (["c.key"], "c.cert")])
def test_half_a_client_pair_is_an_error(tmp_path: Path, names: list[str], missing: str) -> None:
    place(tmp_path / "host.example", *names)

    with pytest.raises(UsageError, match=missing):
        trust_for("host.example", Settings(), (str(tmp_path),))


def test_settings_add_to_the_directories(tmp_path: Path) -> None:
    settings = Settings(
        {"host.example": RegistrySettings(ca="/ca.pem", client_certificate="/c.pem", client_key="/k.pem")}
    )

    trust = trust_for("host.example", settings, (str(tmp_path),))

    assert trust == Trust(("/ca.pem",), (("/c.pem", "/k.pem"),), is_verified=True)


def test_only_loopback_and_insecure_hosts_go_unverified(tmp_path: Path) -> None:
    settings = Settings({"insecure.example": RegistrySettings(is_insecure=True)})
    place(tmp_path / "localhost:5001", "ca.crt")

    def is_verified(authority: str) -> bool:
        return trust_for(authority, settings, (str(tmp_path),)).is_verified

    assert is_verified("host.example")
    assert not is_verified("insecure.example")
    assert not is_verified("localhost:5000")
    assert is_verified("localhost:5001")
