"""COPY, ADD and WORKDIR as tasks. From the build context a layer is written here, without a mount; what comes
from another root is read in a process that mounts it.
"""

import os
import posixpath
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from layerstore.build.evaluate import Step
from layerstore.build.executor import Root
from layerstore.build.instruction import Add, Copy
from layerstore.build.selection import Selection, select
from layerstore.build.step_key import definition_key, image_key, result_key, scratch_key
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput, LstoreError
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.tasks import Cancellation
from lstore.engine.build.add_sources import Additions
from lstore.engine.build.local import LocalContext
from lstore.engine.build.site import Site, Workplace

if TYPE_CHECKING:
    from layerstore.build.owner import Owner
    from layerstore.build.root_tree import RootTree
    from layerstore.build.transfer import Destination
    from layerstore.snapshot.commit import NewLayer
    from lstore.engine.build.step_work import Selected


@dataclass(frozen=True)
class CopyTask:
    """One COPY or ADD on `root`; what it takes comes from `source`, None where it needs none."""

    site: Site
    step: Step
    instruction: Copy | Add
    root: Root
    source: Root | LocalContext | None
    additions: Additions
    clamp: int | None

    @property
    def _is_linked(self) -> bool:
        """``--link``; names of owners are looked up in the layers below, which it then depends on after all."""
        chown = self.instruction.chown
        return self.instruction.is_linked and all(part.isdigit() or not part for part in chown.split(":"))

    @cached_property
    def _selections(self) -> tuple[Selection, ...]:
        if not isinstance(self.source, LocalContext) or not self.additions.paths:
            return ()
        return select(
            self.source.context,
            self.additions.paths,
            parents=self.instruction.parents,
            exclude=self.instruction.exclude,
        )

    @cached_property
    def definition(self) -> Digest:
        """See `Task`."""
        if isinstance(self.source, Root):
            return self._key((self.source.chain,), ())
        contents = () if self.source is None or not self._selections else (self.source.key(self._selections),)
        return self._key(tuple(Digest.of(b"") for _ in self.step.origins), contents)

    def content_key(self, cancellation: Cancellation) -> Digest | None:
        """See `Task`."""
        from lstore.engine.build.step_work import KeyWork

        if not self.site.keeps_owners:
            return None  # which content it is, nobody can tell without owners
        selected = self._selected()
        if selected is None:
            return None
        with self.site.workplace() as place:
            content = self.site.perform(KeyWork(selected, place.state), 0, cancellation)
        return self._key((), (Digest.parse(content.decode()),))

    def _key(self, inputs: tuple[Digest, ...], contents: tuple[Digest, ...]) -> Digest:
        platform = self.step.before.image.platform
        parent = scratch_key(platform) if self._is_linked else image_key(self.root.chain, platform)
        settings = {"epoch": str(self.clamp)}
        definition = definition_key(self.step, parent, inputs=inputs, settings=settings)
        return result_key(definition, (*contents, *self.additions.keys()))

    def perform(self, vertex: int, cancellation: Cancellation) -> Descriptor | None:
        """See `Task`."""
        from lstore.engine.build.step_work import CopyWork, parse_layer

        selected = self._selected()
        with self.site.workplace() as place, self.site.tree(self.root) as tree:
            to = self._destination(tree)
            if selected is not None and not self.instruction.inline:
                below = None if self._is_linked else self.site.layer_paths(self.root)
                work = CopyWork(selected, below, to, place.state, place.made, self.clamp)
                layer = parse_layer(self.site.perform(work, vertex, cancellation))
                return self.site.keep(layer, place.made)
            return self.site.keep(self._write(None if self._is_linked else tree, to, place), place.made)

    def _write(self, tree: "RootTree | None", to: "Destination", place: Workplace) -> "NewLayer | None":
        from layerstore.build.transfer import LayerPlan
        from layerstore.snapshot.commit import write_layer

        plan = LayerPlan(tree)
        local = None
        if isinstance(self.source, LocalContext) and self._selections:
            local = (self.source.context, self._selections)
        with ExitStack() as opened:
            self.additions.place(plan, local, to, place.state, opened)
            for file in self.instruction.inline:
                plan.write(file.name, file.content.encode("utf-8", "surrogateescape"), to)
            return write_layer(plan.members(), place.made, clamp=self.clamp)

    def _selected(self) -> "Selected | None":
        """What is to be taken from another root."""
        if not isinstance(self.source, Root):
            return None
        from lstore.engine.build.step_work import Selected

        one = self.instruction
        owners = self.site.owners(self.source)
        return Selected(self.site.view(self.source), one.sources, one.parents, one.exclude, owners)

    def _destination(self, tree: "RootTree") -> "Destination":
        from layerstore.build.owner import find_owner
        from layerstore.build.transfer import Destination

        one = self.instruction
        path = self.step.before.image.resolve(one.destination)
        if one.destination.endswith("/.") or one.destination == ".":
            path = path if path.endswith("/") else f"{path}/"
        try:
            owner = find_owner(one.chown, tree) if one.chown else None
        except InvalidInput as error:
            raise one.origin.error(error.message) from error
        return Destination(path, owner, one.chmod)


@dataclass(frozen=True)
class WorkdirTask:
    """One WORKDIR on `root`: its directory, made for the present user where it is not there."""

    site: Site
    step: Step
    root: Root
    clamp: int | None

    @cached_property
    def definition(self) -> Digest:
        """See `Task`."""
        parent = image_key(self.root.chain, self.step.before.image.platform)
        return definition_key(self.step, parent, settings={"epoch": str(self.clamp)})

    def content_key(self, cancellation: Cancellation) -> Digest | None:
        """See `Task`."""
        return None

    def perform(self, vertex: int, cancellation: Cancellation) -> Descriptor | None:
        """See `Task`."""
        from layerstore.build.transfer import LayerPlan
        from layerstore.snapshot.commit import write_layer

        with self.site.workplace() as place, self.site.tree(self.root) as tree:
            plan = LayerPlan(tree)
            path = tree.resolve(os.fsencode(self._path))
            plan.make_directory(path, self._owner(tree))
            return self.site.keep(write_layer(plan.members(), place.made, clamp=self.clamp), place.made)

    @property
    def _path(self) -> str:
        return posixpath.normpath(self.step.after.image.working_dir)

    @property
    def _user(self) -> str:
        return self.step.before.image.user

    def _owner(self, tree: "RootTree") -> "Owner":
        from layerstore.build.owner import find_owner
        from layerstore.build.transfer import ROOT

        try:
            return find_owner(self._user, tree) if self._user else ROOT
        except LstoreError:
            return ROOT  # RUN and the container will say that there is no such user
