"""What an image is made of, as a statement beside it: ``--sbom``. SPDX 2.3, its JSON form.

The packages are those of `packages`, read from the layers' tars. No time is in it but SOURCE_DATE_EPOCH's: equal images
give equal bytes.
"""

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from layerstore.layer.entry import Kind
from layerstore.layer.tree import walk
from layerstore.oci.document import Json
from lstore.engine.build.attestation import Claim
from lstore.engine.build.image import BuiltImage
from lstore.engine.build.output import opened_tree
from lstore.engine.build.packages import MAX_DATABASE, Package, is_of_interest, packages, release
from lstore.engine.file_content import Content

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

PREDICATE: Final = "https://spdx.dev/Document"
_UNKNOWN: Final = "NOASSERTION"
_DOCUMENT: Final = "SPDXRef-DOCUMENT"
_IMAGE: Final = "SPDXRef-Image"


def sbom(engine: "Engine", image: BuiltImage, *, epoch: int | None) -> Claim:
    """The packages of `image`. Raises `StoreDamaged`, `StorageError`."""
    files = _files(engine, image)
    found = packages(files.items())
    about = release(files)
    created = datetime.fromtimestamp(epoch or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = image.manifest.descriptor.digest
    described = [_package(package, about) for package in found]
    top = _fields(_IMAGE, str(digest), "") | {"primaryPackagePurpose": "CONTAINER"}
    relations = [_relation(_DOCUMENT, "DESCRIBES", _IMAGE)]
    relations += [_relation(_IMAGE, "CONTAINS", _identity(package)) for package in found]
    document: dict[str, Json] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": str(digest),
        "documentNamespace": f"https://spdx.org/spdxdocs/lstore-{digest.encoded}",
        "creationInfo": {"created": created, "creators": ["Tool: lstore"]},
        "packages": [top, *described],
        "relationships": [*relations],
    }
    return Claim(PREDICATE, document)


def _files(engine: "Engine", image: BuiltImage) -> dict[bytes, bytes]:
    """The files of the image that speak of packages, by path."""
    found: dict[bytes, bytes] = {}
    with opened_tree(engine, image) as (tree, tars):
        for path, node in walk(tree.root):
            entry = node.entry
            if entry.kind is Kind.REGULAR and entry.size <= MAX_DATABASE and is_of_interest(path):
                found[path] = Content(entry, tars[node.layer]).read(0, entry.size)
    return found


def _package(package: Package, about: dict[str, str]) -> dict[str, Json]:
    url: dict[str, Json] = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package.url(about),
    }
    found = f"found in the {package.kind} package database at /{package.found_at}"
    more: dict[str, Json] = {"sourceInfo": found, "externalRefs": [url]}
    return _fields(_identity(package), package.name, package.version) | more


def _fields(identity: str, name: str, version: str) -> dict[str, Json]:
    """A package with the fields that SPDX wants of each; nobody analysed its files."""
    fields: dict[str, Json] = {
        "SPDXID": identity,
        "name": name,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
    }
    return fields | ({"versionInfo": version} if version else {})


def _identity(package: Package) -> str:
    digest = hashlib.sha256("\0".join(package).encode("utf-8", "surrogateescape")).hexdigest()
    return f"SPDXRef-Package-{package.kind}-{digest[:16]}"


def _relation(element: str, kind: str, related: str) -> dict[str, Json]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}
