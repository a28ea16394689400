"""Image configurations: what to run, on what, made of which layers. OCI image-spec, config.md.

The raw bytes are kept (their digest is the image ID); unknown fields stay in `raw` and `document`.
"""

from collections.abc import Mapping

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDocument
from layerstore.oci.digest import Digest
from layerstore.oci.document import (
    Json,
    Object,
    as_object,
    as_text,
    child,
    items,
    parse_object,
    string_map,
    text,
)
from layerstore.oci.manifest import MAX_LAYERS
from layerstore.oci.platform import Platform

MAX_STRINGS = 4096
"""Entries of Env, Cmd, Entrypoint or history."""


@dataclass(frozen=True, slots=True)
class History:
    """How one layer, or one change of configuration alone, came to be."""

    created: str
    created_by: str
    comment: str
    author: str
    empty_layer: bool

    @classmethod
    def from_json(cls, value: Json) -> "History":
        """One element of the configuration's ``history``. Raises `InvalidDocument`."""
        source = as_object(value)
        return cls(
            created=text(source, "created"),
            created_by=text(source, "created_by"),
            comment=text(source, "comment"),
            author=text(source, "author"),
            empty_layer=source.get("empty_layer") is True,
        )


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a container of the image does unless it is told otherwise: the object ``config``."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] | None = None
    volumes: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, source: Object) -> "Defaults":
        """The parsed object; absent and null fields are empty. Raises `InvalidDocument`, `LimitExceeded`."""
        return cls(
            user=text(source, "User"),
            env=items(source, "Env", as_text, limit=MAX_STRINGS),
            entrypoint=items(source, "Entrypoint", as_text, limit=MAX_STRINGS),
            cmd=items(source, "Cmd", as_text, limit=MAX_STRINGS),
            working_dir=text(source, "WorkingDir"),
            stop_signal=text(source, "StopSignal"),
            labels=string_map(source, "Labels"),
            volumes=tuple(child(source, "Volumes")),
            exposed_ports=tuple(child(source, "ExposedPorts")),
        )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A parsed configuration. `diff_ids` name the layers uncompressed, bottom first."""

    raw: bytes
    document: Object
    platform: Platform
    created: str
    author: str
    defaults: Defaults
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]

    @classmethod
    def parse(cls, raw: bytes) -> "ImageConfig":
        """The configuration that `raw` spells. Raises `InvalidDocument`, `InvalidDigest`."""
        source = parse_object(raw, "image configuration")
        rootfs = child(source, "rootfs")
        if text(rootfs, "type", "layers") != "layers":
            raise InvalidDocument("image configuration with a rootfs that is no list of layers")
        return cls(
            raw=raw,
            document=source,
            platform=Platform.from_json(source),
            created=text(source, "created"),
            author=text(source, "author"),
            defaults=Defaults.from_json(child(source, "config")),
            diff_ids=items(rootfs, "diff_ids", _digest, limit=MAX_LAYERS),
            history=items(source, "history", History.from_json, limit=MAX_STRINGS),
        )

    @property
    def image_id(self) -> Digest:
        """The digest of the configuration."""
        return Digest.of(self.raw)

    def check_layers(self, count: int) -> None:
        """Raises `InvalidDocument` unless the configuration names exactly `count` layers."""
        if len(self.diff_ids) != count:
            raise InvalidDocument(
                f"image configuration names {len(self.diff_ids)} layers, its manifest {count}"
            )


def _digest(value: Json) -> Digest:
    return Digest.parse(as_text(value))
