"""A `Target` that tells a `Progress` what becomes of each blob on its way there.

The local store reports for itself, since it knows more: what it resumes and what it unpacks.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from layerstore.content import Opener, Readable, Target, has_children
from layerstore.oci.descriptor import Descriptor
from layerstore.progress import Phase, Progress


class WatchedTarget:
    """`target`, with each blob that it takes reported as being in `phase`. Raises what `target` raises."""

    def __init__(self, target: Target, progress: Progress, phase: Phase) -> None:
        self._target = target
        self._progress = progress
        self._phase = phase

    def resolve(self, name: str) -> Descriptor:
        """See `Source.resolve`."""
        return self._target.resolve(name)

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """See `Source.fetch`."""
        return self._target.fetch(descriptor, offset)

    def has(self, descriptor: Descriptor) -> bool:
        """See `Target.has`."""
        is_there = self._target.has(descriptor)
        if is_there and not has_children(descriptor):
            self._progress.phase(descriptor.digest.short, "exists", descriptor.size)
        return is_there

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """See `Target.push`. A blob whose bytes `target` did not want is not reported: it had it, or mounted it."""
        if has_children(descriptor):
            self._target.push(descriptor, opener)
            return
        passage = _Passage(descriptor, opener, self._progress, self._phase)
        self._target.push(descriptor, passage.opened)
        if passage.was_opened:
            self._progress.phase(descriptor.digest.short, "done")

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """See `Target.tag`."""
        self._target.tag(descriptor, name)


class _Passage:
    """One blob's bytes, each counted once, though a target may open them again to go on or to start over."""

    def __init__(self, descriptor: Descriptor, opener: Opener, progress: Progress, phase: Phase) -> None:
        self._descriptor = descriptor
        self._opener = opener
        self._progress = progress
        self._phase = phase
        self._reached = 0
        self.was_opened = False

    @contextmanager
    def opened(self, offset: int) -> Iterator[Readable]:
        """See `Opener`."""
        if not self.was_opened:
            self._progress.phase(self._descriptor.digest.short, self._phase, self._descriptor.size)
            self.was_opened = True
        with self._opener(offset) as stream:
            yield _CountedReader(stream, offset, self)

    def count(self, position: int) -> None:
        """All bytes before `position` went through."""
        if position > self._reached:
            self._progress.advance(self._descriptor.digest.short, position - self._reached)
            self._reached = position


class _CountedReader:
    def __init__(self, stream: Readable, position: int, passage: _Passage) -> None:
        self._stream = stream
        self._position = position
        self._passage = passage

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        self._passage.count(self._position)
        return data
