"""What the solver asks of whoever carries steps out, and tells whoever watches."""

from typing import Literal, Protocol

from layerstore.build.cache import Record
from layerstore.build.evaluate import StageState, Step
from layerstore.build.stages import ImageSource, NamedContext
from layerstore.dataclass import dataclass
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.snapshot.chain import chain_id
from layerstore.tasks import Cancellation

Outcome = Literal["done", "cached", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class Root:
    """A root filesystem: its layers as a manifest has them and their diff_ids, the lowest first."""

    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()

    def with_layer(self, layer: Descriptor | None) -> "Root":
        """The root with one more layer of our own, whose digest is its diff_id; the same where it is None."""
        if layer is None:
            return self
        return Root((*self.layers, layer), (*self.diff_ids, layer.digest))

    @property
    def chain(self) -> Digest:
        """The chain id."""
        return chain_id(self.diff_ids)


@dataclass(frozen=True, slots=True)
class Base:
    """What a stage starts with, or a step takes files from: an image that exists already."""

    state: StageState
    root: Root
    triggers: tuple[str, ...] = ()
    """ONBUILD instructions."""


@dataclass(frozen=True, slots=True)
class LocalSource:
    """The build context, or a named one: a directory of the host. The main one has no name."""

    name: str = ""


Source = Root | LocalSource
"""Where a step takes files from."""


class Task(Protocol):
    """One step that makes a layer, with all that it depends on."""

    @property
    def definition(self) -> Digest:
        """Its cheap key: covers instruction, parent, and where files come from."""
        ...

    def content_key(self, cancellation: Cancellation) -> Digest | None:
        """Its dear key, by what the files are rather than where they come from; None where that adds nothing."""
        ...

    def perform(self, vertex: int, cancellation: Cancellation) -> Descriptor | None:
        """Carry it out; its layer, durable and there until the build ends, or None where nothing changed.

        Raises `StepFailed` and every other `LstoreError`, `Cancelled`; then nothing is left of it.
        """
        ...


class Executor(Protocol):
    """Finds images and makes tasks."""

    def image(self, source: ImageSource, platform: Platform | None) -> Base:
        """The image, which is in the store from now on. Raises what `pull` raises."""
        ...

    def named(self, source: NamedContext) -> Base | LocalSource:
        """What ``--build-context`` gives by that name."""
        ...

    def task(self, step: Step, root: Root, sources: tuple[Source, ...]) -> Task:
        """The task of `step` on `root`; `sources` are its origins', in order."""
        ...

    def started(self) -> None:
        """From now on tasks are performed, side by side: called once, before any thread starts."""
        ...


class Recorder(Protocol):
    """What finished steps are known by."""

    def find(self, key: Digest) -> Record | None:
        """The record under `key`, whose layer is there and stays until the build ends. It is used now."""
        ...

    def keep(self, keys: tuple[Digest, ...], layer: Descriptor | None, title: str) -> None:
        """Record a finished step under each of `keys`, durably; its layer is in the store."""
        ...


class BuildProgress(Protocol):
    """Hears how a build goes. Called from any thread; returns at once. A vertex is a number from 1."""

    def begin(self, vertex: int, title: str) -> None:
        """Work on `vertex` starts."""
        ...

    def output(self, vertex: int, data: bytes) -> None:
        """Its command wrote `data`."""
        ...

    def end(self, vertex: int, outcome: Outcome) -> None:
        """It came to its end."""
        ...
