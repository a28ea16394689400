"""Whether a layer's directory is what its diff_id says: asked of what a crash may have cut short."""

import os
import tempfile

from layerstore.disk.comparing import has_same_contents
from layerstore.errors import InvalidLayer, NoSpace, StorageError
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.tar_writer import index_tar
from layerstore.oci.digest import Digest
from layerstore.store.fsck import matches


def verify_layer(diff_id: Digest, directory: str) -> bool:
    """Whether `directory` holds the layer of `diff_id`: the tar by its digest, the index by making it again.

    Raises `NoSpace` where there is no room to make it.
    """
    tar, index = os.path.join(directory, TAR), os.path.join(directory, INDEX)
    if not (os.path.isfile(tar) and os.path.isfile(index) and matches(tar, diff_id)):
        return False
    try:
        with tempfile.TemporaryDirectory(prefix="lstore-verify-") as scratch:
            fresh = os.path.join(scratch, INDEX)
            index_tar(tar, fresh, diff_id)
            return has_same_contents(index, fresh)
    except NoSpace:
        raise
    except (InvalidLayer, StorageError):
        return False
