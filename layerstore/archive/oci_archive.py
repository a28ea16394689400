"""Read an OCI image layout in an archive file, docker's from version 25 on among them.

OCI image-spec, image-layout.md. Docker's have a ``manifest.json`` too, for older readers; of that only
the names are taken, where the layout's own annotations do not give whole ones.
"""

from layerstore.archive.docker_archive import MANIFEST_FILE, read_saved_images
from layerstore.archive.layout_index import (
    INDEX_FILE,
    LAYOUT_FILE,
    MAX_INDEX,
    MAX_LAYOUT_FILE,
    ArchivedImage,
    LayoutIndex,
    check_layout_file,
)
from layerstore.archive.members import Member, Members
from layerstore.archive.oci_layout import BLOBS, blob_name
from layerstore.archive.tar_archive import TarArchive
from layerstore.content import has_children, read_manifest
from layerstore.dataclass import replace
from layerstore.errors import InvalidDigest
from layerstore.oci import mediatype
from layerstore.oci.annotation import IMAGE_NAME
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index


def read_oci_archive(members: Members) -> TarArchive:
    """The images of the layout in the archive.

    Raises `InvalidArchive`, `UnsupportedContent` for another version of layouts, `LimitExceeded`; where
    docker's names are needed also what reading the roots raises.
    """
    check_layout_file(members.document(LAYOUT_FILE, limit=MAX_LAYOUT_FILE))
    index = LayoutIndex.parse(members.document(INDEX_FILE, limit=MAX_INDEX))
    blobs = _blobs(members)
    archive = TarArchive(members, index.images(), blobs)
    if MANIFEST_FILE not in members or any(IMAGE_NAME in entry.annotations for entry in index.entries):
        return archive
    return TarArchive(members, _with_docker_names(members, archive), blobs)


def _blobs(members: Members) -> dict[Digest, Member]:
    """The layout's blobs, each of which must be a plain file."""
    found = {}
    for member in members.below(BLOBS):
        digest = _digest_of(member.name)
        if digest is not None:
            found[digest] = members.plain(member.name)
    return found


def _digest_of(name: str) -> Digest | None:
    _, _, rest = name.partition("/")
    try:
        digest = Digest.parse(rest.replace("/", ":", 1))
    except InvalidDigest:
        return None
    return digest if blob_name(digest) == name else None


def _with_docker_names(members: Members, archive: TarArchive) -> tuple[ArchivedImage, ...]:
    """The images by the names that ``manifest.json`` has for their configurations, where it has any."""
    by_config = {image.config: image.names for image in read_saved_images(members) if image.names}
    return tuple(
        replace(image, names=_docker_names(by_config, archive, image.root) or image.names)
        for image in archive.images()
    )


def _docker_names(
    by_config: dict[str, tuple[str, ...]], archive: TarArchive, root: Descriptor
) -> tuple[str, ...]:
    if not (archive.has(root) and has_children(root)):
        return ()
    parsed = read_manifest(archive, root)
    if not isinstance(parsed, Index):
        return by_config.get(blob_name(parsed.config.digest), ())
    manifests = dict.fromkeys(each for each in parsed.manifests if mediatype.is_manifest(each.media_type))
    found = (_docker_names(by_config, archive, each) for each in manifests)
    return next((names for names in found if names), ())
