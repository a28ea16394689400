"""Platforms: os/architecture[/variant], and which one runs where. OCI image-spec, image-index.md.

Normalisation and the order of preference are docker's (containerd ``platforms``): a host takes its own
variant first, then lesser ones, then the architecture's 32-bit sibling.
"""

import re
from collections.abc import Iterable

from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidPlatform
from layerstore.oci.document import Object, as_text, items, text

_PART = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "armv8l": "arm",
    "armv7l": "arm",
    "armv6l": "arm",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "loongarch64": "loong64",
}
_IMPLIED_VARIANT = {"armhf": "v7", "armel": "v6", "armv8l": "v8", "armv7l": "v7", "armv6l": "v6"}
_DEFAULT_VARIANT = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_LADDERS = {
    "amd64": ("v4", "v3", "v2", "v1"),
    "arm": ("v8", "v7", "v6", "v5"),
}
_ARM64 = re.compile(r"v(8|9)(?:\.([0-9]))?\Z")
_MAX_FEATURES = 64


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """A normalised platform. `variant` is empty where it is the architecture's default."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text_form: str) -> "Platform":
        """The platform of ``os/arch[/variant]``, ``arch`` or ``os`` alone. Raises `InvalidPlatform`."""
        parts = text_form.split("/")
        if not 1 <= len(parts) <= 3 or not all(_PART.match(part) for part in parts):
            raise InvalidPlatform(
                f"invalid platform {text_form[:80]!r}: it is written os/architecture, like linux/arm64"
            )
        if len(parts) == 1:
            parts = ["linux", parts[0]]
        return normalise(*parts)

    @classmethod
    def host(cls, machine: str) -> "Platform":
        """The platform of a Linux host whose ``uname -m`` is `machine`."""
        return normalise("linux", machine)

    @classmethod
    def from_json(cls, source: Object) -> "Platform":
        """The platform object of a descriptor or an image configuration, normalised.

        Raises `InvalidDocument`, `LimitExceeded`.
        """
        base = normalise(text(source, "os"), text(source, "architecture"), text(source, "variant"))
        features = items(source, "os.features", as_text, limit=_MAX_FEATURES)
        return replace(base, os_version=text(source, "os.version"), os_features=features)

    def to_json(self) -> dict[str, str | list[str]]:
        """The object as image-index.md has it, empty fields left out."""
        result: dict[str, str | list[str]] = {"architecture": self.architecture, "os": self.os}
        if self.variant:
            result["variant"] = self.variant
        if self.os_version:
            result["os.version"] = self.os_version
        if self.os_features:
            result["os.features"] = list(self.os_features)
        return result

    @property
    def is_unknown(self) -> bool:
        """Whether it is BuildKit's ``unknown/unknown``, the mark of an attestation."""
        return self.architecture in ("unknown", "") or self.os in ("unknown", "")

    def runnable(self) -> tuple["Platform", ...]:
        """What a host of this platform can run, best first, itself at the head."""
        own = _ladder_from(self)
        if self.architecture == "arm64":
            own += _ladder_from(Platform(self.os, "arm", "v8"))
        elif self.architecture == "amd64":
            own += (Platform(self.os, "386"),)
        return own

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalise(os: str, architecture: str, variant: str = "") -> Platform:
    """The canonical spelling: ``uname`` names become Go's, a default variant becomes empty."""
    lower = architecture.lower()
    arch = _ARCHITECTURES.get(lower, lower)
    level = (variant or _IMPLIED_VARIANT.get(lower, "")).lower()
    if level and level[0].isdigit():
        level = f"v{level}"
    if arch == "arm64":
        level = level.removesuffix(".0")
    if level == _DEFAULT_VARIANT.get(arch):
        level = ""
    return Platform(os.lower(), arch, level)


def _ladder_from(platform: Platform) -> tuple[Platform, ...]:
    level = platform.variant or _DEFAULT_VARIANT.get(platform.architecture, "")
    ladder = _arm64_ladder(level) if platform.architecture == "arm64" else _LADDERS.get(platform.architecture)
    if ladder is None or level not in ladder:
        return (platform,)
    return tuple(
        normalise(platform.os, platform.architecture, step) for step in ladder[ladder.index(level) :]
    )


def _arm64_ladder(level: str) -> tuple[str, ...]:
    """`level` and all that it includes: by Arm's own manual, v9.x includes v8.(x+5)."""
    match = _ARM64.match(level)
    if match is None:
        return ()
    minor = int(match[2] or 0)
    if match[1] == "8":
        return _minors("v8", minor)
    return (*_minors("v9", minor), *_minors("v8", min(minor + 5, 9)))


def _minors(major: str, highest: int) -> tuple[str, ...]:
    return (*(f"{major}.{minor}" for minor in range(highest, 0, -1)), major)


def best_match(wanted: Platform, offered: Iterable[Platform]) -> int | None:
    """The position in `offered` of the best one that `wanted` can run; None where none is.

    Among equals the first wins, as it does for docker.
    """
    ranks = {step: rank for rank, step in enumerate(wanted.runnable())}
    best: tuple[int, int] | None = None
    for position, platform in enumerate(offered):
        rank = ranks.get(replace(platform, os_version="", os_features=()))
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, position)
    return None if best is None else best[1]
