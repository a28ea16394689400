"""What a container takes of its image's configuration: a small value, so that it can be kept ready."""

from __future__ import annotations

from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from layerstore.oci.config import ImageConfig
    from layerstore.oci.document import Json


class ImageFacts(Value):
    """The image's id, its layers, and what it does unless it is told otherwise."""

    image_id: str
    diff_ids: tuple[str, ...]
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    working_dir: str
    user: str
    stop_signal: str
    labels: tuple[tuple[str, str], ...]
    health: str
    """The object ``Healthcheck`` as JSON, "" where there is none (docker's image-spec, v1.2)."""

    @property
    def healthcheck(self) -> Mapping[str, Json]:
        """The object ``Healthcheck``; empty where there is none."""
        if not self.health:
            return {}
        from layerstore.oci.document import parse_object

        return parse_object(self.health.encode(), "Healthcheck")


def facts_of(image: ImageConfig) -> ImageFacts:
    """What `image` says."""
    from layerstore.oci.document import dump

    defaults = image.defaults
    config = image.document.get("config")
    health = config.get("Healthcheck") if isinstance(config, dict) else None
    return ImageFacts(
        image_id=str(image.image_id),
        diff_ids=tuple(map(str, image.diff_ids)),
        env=defaults.env,
        entrypoint=defaults.entrypoint,
        cmd=defaults.cmd,
        working_dir=defaults.working_dir,
        user=defaults.user,
        stop_signal=defaults.stop_signal,
        labels=tuple((defaults.labels or {}).items()),
        health=dump(health).decode("utf-8") if isinstance(health, dict) else "",
    )
