"""In which compressed forms a layer that was made here has been sent: a note beside its tar.

    layers/ALGORITHM-HEX/forms   JSON, compression → digest and size; there for layers of our own alone

A layer of our own is kept as a tar and travels compressed; one that came from elsewhere travels as it came.
The note lets the next push know the digest without compressing again. Losing it costs no more than that: the
layer is then sent as the tar that it is kept as.
docs/adr/0005-built-layers-are-not-compressed.md.
"""

import os
from collections.abc import Mapping

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import write_file
from layerstore.errors import InvalidInput, storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import dump, parse_object

FORMS = "forms"
_LIMIT = 64 << 10

_REMEMBERED = CrashPoint("push: form of a layer remembered")

Forms = Mapping[str, Descriptor]
"""The layer's blob in each form, by a name that says all that its bytes depend on."""


def begin(directory: str) -> None:
    """Note that the layer in `directory`, which is being written, is of our own making. Raises ``OSError``."""
    with open(os.path.join(directory, FORMS), "xb"):
        pass  # empty says: sent in no form yet


def read_forms(directory: str) -> Forms | None:
    """The forms noted for the layer in `directory`; None for one from elsewhere, or whose note is damaged.

    Raises `StorageError`.
    """
    try:
        with open(os.path.join(directory, FORMS), "rb") as stream:
            raw = stream.read(_LIMIT + 1)
        source = parse_object(raw, "note of a layer's forms", limit=_LIMIT) if raw else {}
        return {name: Descriptor.from_json(value) for name, value in source.items()}
    except (FileNotFoundError, NotADirectoryError, InvalidInput):
        return None
    except OSError as error:
        raise storage_error(error, f"read {os.path.join(directory, FORMS)}") from error


def remember(directory: str, name: str, form: Descriptor) -> None:
    """Note that the layer's blob in the form `name` is `form`, where the layer is one of our own.

    Two who note at once may lose one of the notes. Raises `StorageError`.
    """
    known = read_forms(directory)
    if known is None or known.get(name) == form:
        return
    path = os.path.join(directory, FORMS)
    try:
        write_file(path, dump({key: each.to_json() for key, each in {**known, name: form}.items()}))
    except OSError as error:
        raise storage_error(error, f"write {path}") from error
    _REMEMBERED.reach()
