"""Images as the bases of stages and as sources of files: from the store, pulled where they are missing."""

from typing import TYPE_CHECKING

from layerstore.build.evaluate import StageState
from layerstore.build.executor import Base, Root
from layerstore.build.image_state import ImageState
from layerstore.content import read_document, read_manifest
from layerstore.dataclass import dataclass, field
from layerstore.errors import NotFound, UnsupportedContent
from layerstore.oci.config import ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform, best_match
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from lstore.engine import catalog

if TYPE_CHECKING:
    from lstore.engine.build.site import Site


@dataclass(frozen=True, slots=True)
class ImageFinder:
    """Finds images for `platform` by name."""

    site: "Site"
    platform: Platform
    always_pulls: bool = False
    progress: Progress = SILENT
    materials: dict[str, Digest] = field(default_factory=dict)
    """The images that were found, by name, and the digests of their manifests."""

    def find(self, reference: str, platform: Platform | None = None) -> Base:
        """The image, held until the build ends. Raises `NotFound`, `UnsupportedContent`, and what `pull` raises."""
        wanted = platform or self.platform
        engine = self.site.engine
        if self.always_pulls:
            self._pull(reference, wanted)
        image = self._in_store(reference, wanted)
        if image is None:
            self._pull(reference, wanted)
            image = catalog.find(engine.store, reference, wanted)
        self.site.hold(image.descriptor)
        self.materials[Reference.parse(reference).familiar] = image.descriptor.digest
        manifest = read_manifest(engine.store.blobs, image.descriptor)
        if not isinstance(manifest, Manifest) or not manifest.is_image:
            raise UnsupportedContent(f"cannot build on {reference}: it is an artifact, not an image")
        return base_of(manifest, ImageConfig.parse(read_document(engine.store.blobs, manifest.config)))

    def _in_store(self, reference: str, platform: Platform) -> catalog.Image | None:
        """The image where it is here for that platform."""
        try:
            image = catalog.find(self.site.engine.store, reference, platform)
        except NotFound:
            return None
        fits = image.platform is None or best_match(platform, [image.platform]) is not None
        return image if fits else None

    def _pull(self, reference: str, platform: Platform) -> None:
        from lstore.engine.pull import pull

        pull(self.site.engine, Reference.parse(reference), platform=platform, progress=self.progress)


def base_of(manifest: Manifest, config: ImageConfig) -> Base:
    """The base that an image is. Raises `InvalidDocument` where its documents disagree."""
    config.check_layers(len(manifest.layers))
    state = ImageState.of_image(config)
    root = Root(manifest.layers, config.diff_ids)
    return Base(StageState.of_base(state), root, state.on_build)
