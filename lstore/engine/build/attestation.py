"""Statements about an image, in the form of BuildKit's attestations (docs/attestations/attestation-storage.md there):
a manifest of no platform, in one index with the image that it is about, one in-toto statement a layer.
"""

from collections.abc import Sequence
from typing import Final

from layerstore.dataclass import dataclass, replace
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.manifest import Manifest, build_manifest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from lstore.engine.build.image import BuiltImage

_STATEMENT: Final = "https://in-toto.io/Statement/v0.1"
_IN_TOTO: Final = "application/vnd.in-toto+json"
_UNKNOWN: Final = Platform("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Attestation:
    """Statements about one image, with the documents that hold them; as many as the manifest has layers."""

    statements: tuple[bytes, ...]
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


@dataclass(frozen=True, slots=True)
class Claim:
    """What one statement says: a predicate and its type."""

    type: str
    predicate: dict[str, Json]


def attest(image: BuiltImage, names: Sequence[Reference], claims: Sequence[Claim]) -> Attestation:
    """The attestation that `image`, which goes by `names`, is as `claims` say."""
    subject = image.manifest.descriptor.digest
    statements = tuple(dump(_statement(image, names, claim)) for claim in claims)
    layers = tuple(
        replace(Descriptor.of(_IN_TOTO, statement), annotations={"in-toto.io/predicate-type": claim.type})
        for statement, claim in zip(statements, claims, strict=True)
    )
    diff_ids: list[Json] = [str(layer.digest) for layer in layers]
    config = dump({**_UNKNOWN.to_json(), "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config), layers)
    return Attestation(statements, config, manifest, subject)


def _statement(image: BuiltImage, names: Sequence[Reference], claim: Claim) -> dict[str, Json]:
    subject = image.manifest.descriptor.digest
    spelled = [f"pkg:docker/{name.familiar}?platform={image.config.platform}" for name in names]
    return {
        "_type": _STATEMENT,
        "predicateType": claim.type,
        "subject": [{"name": name, "digest": spell(subject)} for name in spelled or ["_"]],
        "predicate": claim.predicate,
    }


def spell(digest: Digest) -> dict[str, Json]:
    """`digest` as in-toto has it."""
    return {digest.algorithm: digest.encoded}
