"""Settings per registry, from TOML and from docker's daemon.json."""

import tomllib

import pytest

from layerstore.errors import UsageError
from registry_client.hosts import Host, origin_host, reading_hosts, search_host
from registry_client.settings import Mirror, RegistrySettings, Settings, from_daemon_json, from_toml


def test_every_setting_of_the_toml_format_is_read() -> None:
    document = tomllib.loads("""
        [registry."docker.io"]
        mirrors = ["https://mirror.example", "http://cache.example:5000/hub"]

        [registry."private.example:5000"]
        insecure = true
        ca = "/etc/ca.pem"
        client-cert = "/etc/client.pem"
        client-key = "/etc/client.key"

        [registry."plain.example"]
        http = true
    """)

    settings = from_toml(document)

    assert settings.of("docker.io").mirrors == (
        Mirror("mirror.example"),
        Mirror("cache.example:5000", "hub", "http"),
    )
    assert settings.of("private.example:5000") == RegistrySettings(
        is_insecure=True, ca="/etc/ca.pem", client_certificate="/etc/client.pem", client_key="/etc/client.key"
    )
    assert settings.of("plain.example").is_http
    assert settings.of("unknown.example") == RegistrySettings()


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('registry = "x"', "not a table"),
        ('[registries."a.example"]\ninsecure = true', "no setting 'registries'"),
        ('[registry]\n"a.example" = 1', "not a table"),
        ('[registry."a.example"]\nmirror = []', "no setting 'mirror'"),
        ('[registry."a.example"]\nmirrors = "https://m"', "not a list"),
        ('[registry."a.example"]\nmirrors = [1]', "not a list"),
        ('[registry."a.example"]\nmirrors = ["m.example"]', "cannot use the mirror"),
        ('[registry."a.example"]\nmirrors = ["https://u:p@m.example"]', "cannot use the mirror"),
        ('[registry."a.example"]\nmirrors = ["https://m.example?x=y"]', "query"),
        ('[registry."a.example"]\ninsecure = "yes"', "neither true nor false"),
        ('[registry."a.example"]\nca = 5', "not a path"),
        ('[registry."a.example"]\nclient-cert = "/c"', "both client-cert and client-key"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(toml: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        from_toml(tomllib.loads(toml))


def test_daemon_json_has_mirrors_of_docker_hub_and_insecure_hosts_and_networks() -> None:
    document = {
        "registry-mirrors": ["https://mirror.example/"],
        "insecure-registries": ["private.example:5000", "http://old.example", "10.0.0.0/8"],
        "storage-driver": "overlay2",
    }

    settings = from_daemon_json(document)

    assert settings.of("docker.io").mirrors == (Mirror("mirror.example"),)
    assert settings.of("private.example:5000").is_insecure
    assert settings.of("old.example").is_insecure
    assert settings.of("10.9.8.7:5000").is_insecure
    assert not settings.of("11.9.8.7:5000").is_insecure
    assert not settings.of("registry.example").is_insecure


def test_docker_hub_itself_can_be_insecure_and_have_mirrors() -> None:
    hub = from_daemon_json(
        {"insecure-registries": ["docker.io"], "registry-mirrors": ["https://mirror.example"]}
    ).of("docker.io")

    assert hub.is_insecure
    assert hub.mirrors == (Mirror("mirror.example"),)


def test_lstores_own_settings_win_over_dockers() -> None:
    docker = from_daemon_json(
        {"registry-mirrors": ["https://theirs.example"], "insecure-registries": ["10.0.0.0/8"]}
    )
    own = from_toml({"registry": {"docker.io": {"mirrors": ["https://ours.example"]}}})

    settings = own.over(docker)

    assert settings.of("docker.io").mirrors == (Mirror("ours.example"),)
    assert settings.of("10.0.0.1").is_insecure


def test_docker_hub_is_reached_at_its_own_host_and_searched_at_another() -> None:
    assert origin_host("docker.io", Settings()).authority == "registry-1.docker.io"
    assert origin_host("docker.io", Settings()).registry == "docker.io"
    assert search_host("docker.io", Settings()).authority == "index.docker.io"
    assert search_host("registry.example", Settings()).authority == "registry.example"


def test_mirrors_are_read_before_the_origin_and_are_strangers_to_its_credentials() -> None:
    settings = from_toml({"registry": {"docker.io": {"mirrors": ["https://m.example/hub"]}}})

    mirror, origin = reading_hosts("docker.io", settings)

    assert mirror == Host("m.example", "m.example", ("https",), "hub", is_mirror=True)
    assert mirror.repository("library/debian") == "hub/library/debian"
    assert origin.registry == "docker.io"
    assert not origin.is_mirror


@pytest.mark.parametrize(
    ("registry", "settings", "schemes"),
    [
        ("registry.example", RegistrySettings(), ("https",)),
        ("registry.example", RegistrySettings(is_insecure=True), ("https", "http")),
        ("registry.example", RegistrySettings(is_http=True), ("http",)),
        ("localhost:5000", RegistrySettings(), ("https", "http")),
        ("127.0.0.1:5000", RegistrySettings(), ("https", "http")),
        ("[::1]:5000", RegistrySettings(), ("https", "http")),
        ("localhost:5000", RegistrySettings(ca="/ca.pem"), ("https",)),
        ("10.0.0.1:5000", RegistrySettings(), ("https",)),
    ],
)
def test_plain_http_needs_a_word_or_a_loopback_address(
    registry: str, settings: RegistrySettings, schemes: tuple[str, ...]
) -> None:
    assert origin_host(registry, Settings({registry: settings})).schemes == schemes
