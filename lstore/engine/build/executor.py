"""The solver's `Executor` over one site: finds images, opens contexts, and makes the tasks of steps."""

from collections.abc import Mapping
from contextlib import ExitStack

from layerstore.build.dockerignore import IgnoreMatcher
from layerstore.build.evaluate import Step
from layerstore.build.executor import Base, LocalSource, Root, Source, Task
from layerstore.build.instruction import Add, Copy, Run
from layerstore.build.stages import ImageSource, NamedContext
from layerstore.dataclass import dataclass, field
from layerstore.errors import LstoreError, UsageError
from layerstore.oci.platform import Platform
from lstore.engine.build.add_sources import Additions
from lstore.engine.build.copy_task import CopyTask, WorkdirTask
from lstore.engine.build.images import ImageFinder
from lstore.engine.build.local import LocalContext
from lstore.engine.build.mount_sources import MountSources
from lstore.engine.build.request import BuildRequest
from lstore.engine.build.run_task import RunTask
from lstore.engine.build.site import Site

_IMAGE = "docker-image://"


@dataclass(slots=True)
class SiteExecutor:
    """See `layerstore.build.executor.Executor`. What it opens stays open until `opened` closes."""

    site: Site
    request: BuildRequest
    images: ImageFinder
    opened: ExitStack
    _contexts: dict[str, LocalContext] = field(default_factory=dict)

    def image(self, source: ImageSource, platform: Platform | None) -> Base:
        """See `Executor`."""
        return self.images.find(source.reference, platform)

    def named(self, source: NamedContext) -> Base | LocalSource:
        """See `Executor`."""
        place = self._named_contexts[source.name]
        if place.startswith(_IMAGE):
            return self.images.find(place.removeprefix(_IMAGE))
        return LocalSource(source.name)

    def started(self) -> None:
        """See `Executor`."""
        self.site.start_workers()

    def task(self, step: Step, root: Root, sources: tuple[Source, ...]) -> Task:
        """See `Executor`."""
        instruction, clamp = step.instruction, self.request.epoch
        given = tuple(self._opened_source(source) for source in sources)
        match instruction:
            case Run():
                mounts = MountSources(
                    self.site, instruction.mounts, given, self._main(), self.request.surroundings
                )
                return RunTask(self.site, step, instruction, root, mounts, self.request.surroundings, clamp)
            case Copy() | Add():
                source = given[0] if given else self._main()
                additions = Additions.of(instruction, self._scratch, self._open)
                if source is None and additions.paths:
                    raise UsageError(
                        f"cannot {instruction.name.lower()} {additions.paths[0]}: no build context"
                    )
                return CopyTask(self.site, step, instruction, root, source, additions, clamp)
        return WorkdirTask(self.site, step, root, clamp)

    def ignored(self) -> IgnoreMatcher | None:
        """What the build context leaves out; None where there is no context."""
        main = self._main()
        return None if main is None else main.context.ignore

    @property
    def _named_contexts(self) -> Mapping[str, str]:
        return {name.lower(): place for name, place in self.request.named_contexts.items()}

    def _main(self) -> LocalContext | None:
        if self.request.context is None:
            return None
        return self._local("", self.request.context, self.request.dockerfile_name)

    def _opened_source(self, source: Source) -> Root | LocalContext:
        if isinstance(source, Root):
            return source
        return self._local(source.name, self._named_contexts[source.name], "Dockerfile")

    def _local(self, name: str, path: str, dockerfile: str) -> LocalContext:
        if name not in self._contexts:
            self._contexts[name] = LocalContext(self.site, path, dockerfile, self.opened)
        return self._contexts[name]

    def _open(self, path: str) -> LocalContext:
        return LocalContext(self.site, path, "", self.opened)

    def _scratch(self) -> str:
        """An empty directory for downloads, on the store's file system."""
        import tempfile

        self.site.cache.create()
        try:
            return self.opened.enter_context(tempfile.TemporaryDirectory(dir=self.site.cache.downloads))
        except OSError as error:
            raise LstoreError(f"cannot make a directory for a download: {error}") from error
