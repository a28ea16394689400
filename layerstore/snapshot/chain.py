"""Chain ids: the name of the ordered application of several layers. OCI image-spec, config.md, "Layer ChainID"."""

from collections.abc import Sequence

from layerstore.oci.digest import Digest

EMPTY = Digest.of(b"")
"""Stands for an image of no layers, which the specification gives no chain id."""


def chain_id(diff_ids: Sequence[Digest]) -> Digest:
    """The chain id of these layers, bottom first; `EMPTY` for none."""
    if not diff_ids:
        return EMPTY
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = Digest.of(f"{chain} {diff_id}".encode())
    return chain
