"""The cheap key of a step: all that decides what it does, spelled canonically and hashed.

Every key covers the format's version, the kind of instruction, the parent's layers (CVE-2024-24557), and
whatever that kind depends on. Secrets never enter: what counts is that one is there, not what it says.
"""

from collections.abc import Mapping

from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump

_VERSION = 1


def definition_key(kind: str, parent: Digest | None, facts: Mapping[str, Json]) -> Digest:
    """The key of a step of that `kind` on the layers of the chain id `parent`; None where it depends on none."""
    whole: dict[str, Json] = {
        "facts": facts,
        "kind": kind,
        "parent": "" if parent is None else str(parent),
        "version": _VERSION,
    }
    return Digest.of(dump(whole))
