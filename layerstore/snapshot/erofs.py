"""The driver ``erofs``: nothing is unpacked; the kernel mounts one merged index over all layers' tars."""

import os
from collections.abc import Sequence

from layerstore.layer.merge import merge_layers
from layerstore.layer.tar_writer import INDEX, TAR
from layerstore.mount import ErofsImage, Lower

NAME = "erofs"


class ErofsDriver:
    """Stacks of any number of layers are one EROFS, so overlayfs sees a single lower."""

    name = NAME
    needs_userxattr = False

    def assemble(self, layers: Sequence[str], directory: str, parent: str | None) -> None:
        """Write the merged index; one layer needs none beside its own."""
        if len(layers) > 1:
            merge_layers(layers, os.path.join(directory, INDEX))

    def lowers(self, layers: Sequence[str], directory: str) -> tuple[Lower, ...]:
        """One image over the tars, in the order of the layers."""
        if not layers:
            return ()
        index = os.path.join(layers[0] if len(layers) == 1 else directory, INDEX)
        return (ErofsImage(index, tuple(os.path.join(layer, TAR) for layer in layers)),)
