"""`inspect`: containers and images by whatever name, in docker's JSON."""

from __future__ import annotations

from layerstore.errors import LstoreError, NotFound
from lstore.engine.containers.describe import describe
from lstore.engine.containers.list import size_on_disk
from lstore.engine.containers.look import look
from lstore.engine.inspect import Inspection, inspect_images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from layerstore.oci.document import Json
    from lstore.engine.engine import Engine


def inspect(
    engine: Engine, names: Sequence[str], *, kind: str | None = None, has_size: bool = False
) -> Inspection:
    """What is known of each of `names`: of that `kind` ("container", "image"), else containers before images.

    One that is not there does not hide the others.
    """
    objects: list[dict[str, Json]] = []
    failures: list[LstoreError] = []
    for name in names:
        try:
            objects.append(_one(engine, name, kind, has_size=has_size))
        except LstoreError as error:
            failures.append(error)
    return Inspection(tuple(objects), tuple(failures))


def _one(engine: Engine, name: str, kind: str | None, *, has_size: bool) -> dict[str, Json]:
    if kind != "image":
        try:
            container = look(engine, name)
        except NotFound:
            if kind == "container":
                raise
        else:
            size = {"SizeRw": size_on_disk(engine, container)} if has_size else {}
            return describe(engine, container) | size
    found = inspect_images(engine.store, (name,))
    for failure in found.failures:
        if kind is None and isinstance(failure, NotFound):
            raise NotFound(f"no such object: {name}") from failure
        raise failure
    return found.objects[0]
