"""The validator that other tests lean on does say no."""

import json

import pytest
from jsonschema import ValidationError

from fixtures import schemas
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.manifest import build_index, build_manifest

pytestmark = pytest.mark.package(schemas.PACKAGE)

MANIFEST = build_manifest(
    Descriptor.of(mediatype.OCI_CONFIG, b"{}"), (Descriptor.of(mediatype.OCI_LAYER_GZIP, b"x"),), {"a": "b"}
)


def test_what_lstore_builds_is_valid() -> None:
    schemas.check_manifest(MANIFEST.raw)
    schemas.check_index(build_index((MANIFEST.descriptor,), {"a": "b"}).raw)
    schemas.check_layout(b'{"imageLayoutVersion":"1.0.0"}')
    schemas.check_config(
        b'{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":["sha256:0"]}}'
    )


@pytest.mark.parametrize("key", ["digest", "size", "mediaType"])
def test_a_descriptor_without_a_field_is_invalid(key: str) -> None:
    broken = json.loads(MANIFEST.raw)
    del broken["layers"][0][key]

    with pytest.raises(ValidationError):
        schemas.check_manifest(json.dumps(broken).encode())


def test_other_documents_are_invalid() -> None:
    with pytest.raises(ValidationError):
        schemas.check_index(b'{"schemaVersion":1,"manifests":[]}')
    with pytest.raises(ValidationError):
        schemas.check_layout(b'{"imageLayoutVersion":"2.0.0"}')
    with pytest.raises(ValidationError):
        schemas.check_config(b'{"os":"linux"}')
