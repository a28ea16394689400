"""How an image came to be, as a minimal in-toto statement beside it: ``--provenance``.

SLSA provenance v0.2 in the form of BuildKit's attestations (docs/attestations/attestation-storage.md there): a
manifest of no platform, in one index with the image that it is about. It names the base images by digest, and
neither build arguments nor times: equal builds are equal bytes.
"""

from dataclasses import dataclass, replace
from typing import Final

from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.manifest import Manifest, build_manifest
from layerstore.oci.platform import Platform
from lstore.engine.build.image import BuiltImage
from lstore.engine.build.request import BuildRequest

PREDICATE: Final = "https://slsa.dev/provenance/v0.2"
_STATEMENT: Final = "https://in-toto.io/Statement/v0.1"
_BUILD_TYPE: Final = "https://mobyproject.org/buildkit@v1"
_IN_TOTO: Final = "application/vnd.in-toto+json"
_UNKNOWN: Final = Platform("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement about one image, with the documents that hold it."""

    statement: bytes
    config: bytes
    manifest: Manifest
    subject: Digest

    @property
    def descriptor(self) -> Descriptor:
        """What the index says of it."""
        about = {
            "vnd.docker.reference.digest": str(self.subject),
            "vnd.docker.reference.type": "attestation-manifest",
        }
        return replace(self.manifest.descriptor, platform=_UNKNOWN, annotations=about)


def attest(image: BuiltImage, request: BuildRequest) -> Attestation:
    """The provenance of `image`, which `request` asked for."""
    subject = image.manifest.descriptor.digest
    statement = dump(_statement(image, request, subject))
    layer = replace(Descriptor.of(_IN_TOTO, statement), annotations={"in-toto.io/predicate-type": PREDICATE})
    config = dump({**_UNKNOWN.to_json(), "rootfs": {"type": "layers", "diff_ids": [str(layer.digest)]}})
    manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config), (layer,))
    return Attestation(statement, config, manifest, subject)


def _statement(image: BuiltImage, request: BuildRequest, subject: Digest) -> dict[str, Json]:
    names = [f"pkg:docker/{name.familiar}?platform={image.config.platform}" for name in request.tags]
    return {
        "_type": _STATEMENT,
        "predicateType": PREDICATE,
        "subject": [{"name": name, "digest": _spell(subject)} for name in names or ["_"]],
        "predicate": {
            "builder": {"id": ""},
            "buildType": _BUILD_TYPE,
            "invocation": {
                "configSource": {"entryPoint": request.dockerfile_name},
                "parameters": {"frontend": "dockerfile.v0"},
                "environment": {"platform": str(image.config.platform)},
            },
            "materials": [
                {"uri": f"pkg:docker/{name}", "digest": _spell(digest)}
                for name, digest in sorted(image.materials.items())
            ],
            "metadata": {
                "completeness": {"parameters": False, "environment": True, "materials": False},
                "reproducible": False,
            },
        },
    }


def _spell(digest: Digest) -> dict[str, Json]:
    return {digest.algorithm: digest.encoded}
