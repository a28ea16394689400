"""A part of a local directory as a root filesystem of one layer, for ``RUN --mount=type=bind``.

So a step sees neither what the ignore file leaves out nor any later change, and what it writes is lost. The
layer is kept and found again as those of steps are.
"""

from layerstore.build.executor import Root
from layerstore.build.root_tree import RootTree
from layerstore.build.selection import select
from layerstore.build.step_key import result_key
from layerstore.build.transfer import Destination, LayerPlan
from layerstore.snapshot.commit import write_layer
from lstore.engine.build.local import LocalContext
from lstore.engine.build.recorder import StoreRecorder
from lstore.engine.build.site import Site

_TOP = "/content/"


def local_root(site: Site, context: LocalContext, source: str) -> tuple[Root, str]:
    """A root that holds what `source` of `context` is, and its path there."""
    selections = select(context.context, (source,))
    path = _TOP + (selections[0].name if selections else "")
    recorder = StoreRecorder(site)
    key = result_key(context.key(selections), ())
    record = recorder.find(key)
    if record is not None:
        return Root().with_layer(record.layer), path
    plan = LayerPlan(RootTree())
    with site.workplace() as place:
        plan.make_directory(_TOP.strip("/").encode(), (0, 0))
        plan.copy(context.context, selections, Destination(_TOP))
        layer = site.keep(write_layer(plan.members(), place.made), place.made)
    recorder.keep((key,), layer, f"context {source}")
    return Root().with_layer(layer), path
