"""What a build is asked for, as a value."""

from collections.abc import Mapping
from typing import Literal

from layerstore.build.solver import CachePolicy
from layerstore.dataclass import dataclass, field
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference

PARALLEL_STAGES = 4
KEEP_STORAGE = 20 << 30
"""Bytes that finished steps and cache mounts may take after a build."""


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where a build cache is kept beside the store: a name in a registry, or the directory of an image layout."""

    type: Literal["local", "registry"]
    where: str


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What each step may use at most; what is None or left out is not limited."""

    memory: int | None = None
    """Bytes."""
    cpus: int | None = None
    """Billionths of a processor."""
    shm_size: int | None = None
    """Bytes of /dev/shm."""
    ulimits: tuple[str, ...] = ()
    """``NAME=SOFT[:HARD]``."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What steps find beside their files."""

    hosts: tuple[tuple[str, str], ...] = ()
    """Names and addresses of ``--add-host``."""
    network: str = "host"
    """What ``RUN --network=default`` means: ``host`` or ``none``."""
    proxies: tuple[tuple[str, str], ...] = ()
    """Variables that RUN sees and no key does."""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    """Sockets of ssh agents."""
    may_be_insecure: bool = False
    """Whether ``RUN --security=insecure`` was allowed."""
    limits: StepLimits = StepLimits()
    shell_at: int | None = None
    """The line of a RUN in whose place a shell is opened on our own terminal."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """``lstore build``. Contexts are paths of directories, or what `contexts` knows."""

    dockerfile: bytes
    dockerfile_name: str
    context: str | None
    """The directory; None where there is none (a Dockerfile alone)."""
    tags: tuple[Reference, ...] = ()
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[Platform, ...] = ()
    named_contexts: Mapping[str, str] = field(default_factory=dict)
    surroundings: Surroundings = field(default_factory=Surroundings)
    policy: CachePolicy = field(default_factory=CachePolicy)
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    keep_storage: int = KEEP_STORAGE
    """To how many bytes finished steps and cache mounts are kept afterwards; the least recently used go first."""
    pull: bool = False
    is_squashed: bool = False
    has_provenance: bool = False
    """Whether a statement of provenance comes with each image."""
    has_sbom: bool = False
    """Whether a list of its packages does."""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH, in seconds."""
