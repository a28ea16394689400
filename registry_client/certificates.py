"""Whom to trust at a host: certs.d directories as docker and podman have them, and settings of our own.

containers-certs.d(5): below a certs.d directory one directory per ``host[:port]``; in it ``*.crt`` are
certificate authorities, ``NAME.cert`` with ``NAME.key`` a client's pair. All the directories count.
"""

import os
from collections.abc import Mapping

from layerstore.dataclass import dataclass
from layerstore.errors import UsageError, file_error
from layerstore.oci.reference import DEFAULT_REGISTRY
from registry_client.hosts import origin_host
from registry_client.origin import is_loopback, split_authority
from registry_client.settings import Settings

SYSTEM_DIRECTORIES = ("/etc/containers/certs.d", "/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class Trust:
    """Which certificates are taken, and which are shown, at one host. Paths name PEM files."""

    authorities: tuple[str, ...] = ()
    """Trusted besides the system's own."""
    client_pairs: tuple[tuple[str, str], ...] = ()
    """Certificate and key."""
    is_verified: bool = True


def directories(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where certs.d directories may be for a user with `environment`, strongest first."""
    home = environment.get("HOME")
    configuration = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    own = (f"{configuration}/containers/certs.d",) if configuration else ()
    return (*own, *SYSTEM_DIRECTORIES)


def trust_for(authority: str, settings: Settings, certs_d: tuple[str, ...]) -> Trust:
    """The trust for ``host[:port]``, from `settings` and the `certs_d` directories that exist.

    A loopback host without an authority of its own is taken at its word, as docker does.
    Raises `UsageError` for half a client pair, `StorageError` for a directory that cannot be read.
    """
    registry = _registry_at(authority, settings)
    own = settings.of(registry)
    authorities = [own.ca] if own.ca is not None else []
    pairs = (
        [(own.client_certificate, own.client_key)]
        if own.client_certificate is not None and own.client_key is not None
        else []
    )
    for directory in certs_d:
        for name in dict.fromkeys((authority, registry)):
            found = _read_directory(os.path.join(directory, name))
            authorities.extend(found.authorities)
            pairs.extend(found.client_pairs)
    is_taken_at_its_word = is_loopback(split_authority(authority)[0]) and not authorities
    return Trust(tuple(authorities), tuple(pairs), not (own.is_insecure or is_taken_at_its_word))


def _registry_at(authority: str, settings: Settings) -> str:
    is_hub = authority == origin_host(DEFAULT_REGISTRY, settings).authority
    return DEFAULT_REGISTRY if is_hub else authority


def _read_directory(path: str) -> Trust:
    try:
        names = sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return Trust()
    except OSError as error:
        raise file_error(error, f"read {path}") from error
    certificates = [name.removesuffix(".cert") for name in names if name.endswith(".cert")]
    keys = [name.removesuffix(".key") for name in names if name.endswith(".key")]
    for stem in sorted(set(certificates) ^ set(keys)):
        missing = ".key" if stem in certificates else ".cert"
        raise UsageError(f"cannot use the client certificate in {path}: {stem}{missing} is missing")
    return Trust(
        tuple(os.path.join(path, name) for name in names if name.endswith(".crt")),
        tuple(
            (os.path.join(path, f"{stem}.cert"), os.path.join(path, f"{stem}.key")) for stem in certificates
        ),
    )
