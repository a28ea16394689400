"""The graph of stages and steps, solved: what is cached is found, what is not is carried out, nothing else is.

First everything is looked up, stage by stage, in the caller's thread: a build that is cached whole starts
neither thread nor process. What is left runs with independent stages side by side; a step starts once its
parent and its sources are known. Every finished step is recorded before the next one starts, so a build that
is killed is taken up where it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from threading import Event

from layerstore.build.arguments import BuildArguments
from layerstore.build.cache import Record
from layerstore.build.evaluate import EvaluatedStage, StageState, Step, evaluate
from layerstore.build.executor import (
    Base,
    BuildProgress,
    Executor,
    LocalSource,
    Outcome,
    Recorder,
    Root,
    Source,
    Task,
)
from layerstore.build.image_state import ImageState
from layerstore.build.stages import ImageSource, NamedContext, Origin, Stage, StageGraph, StageSource
from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import DockerfileError, InvalidInput, LstoreError, NotFound, UnsupportedContent
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.tasks import Cancellation, Cancelled, run_all

_MAX_TITLE = 2000
_LOOK_AGAIN = 0.05
"""Seconds between two looks at a stage that another thread works on."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Which steps are carried out whatever is known of them."""

    is_off: bool = False
    stages: frozenset[str] = frozenset()
    """Names of stages whose steps are (``--no-cache-filter``)."""

    def allows(self, stage: Stage) -> bool:
        """Whether finished steps of `stage` may be used."""
        return not self.is_off and stage.name not in self.stages


@dataclass(frozen=True, slots=True)
class Prepared:
    """A target before anything of it is carried out."""

    graph: StageGraph
    """With the triggers of bases."""
    target: Stage
    stages: tuple[EvaluatedStage, ...]
    """All that the target needs, in the order of the file."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A stage's result."""

    state: StageState
    root: Root
    base: tuple[Digest, ...]
    """The diff_ids of the image that it stands on in the end."""
    made: tuple[Digest | None, ...]
    """The layer of each step, of the stages below too, that may make one; None where nothing changed."""


@dataclass(slots=True)
class _Work:
    """A stage on its way."""

    stage: Stage
    steps: tuple[Step, ...]
    solved: Solved
    vertices: tuple[int, ...]
    position: int = 0
    is_done: Event = field(default_factory=Event)


class Solver:
    """Solves one target of one graph, once."""

    def __init__(
        self,
        graph: StageGraph,
        arguments: BuildArguments,
        executor: Executor,
        recorder: Recorder,
        policy: CachePolicy,
        progress: BuildProgress,
    ) -> None:
        self._graph = graph
        self._arguments = arguments
        self._executor = executor
        self._recorder = recorder
        self._policy = policy
        self._progress = progress
        self._evaluated: dict[int, EvaluatedStage] = {}
        self._works: dict[int, _Work] = {}
        self._bases: dict[tuple[Origin, object], Base | LocalSource] = {}
        self._numbers = count(1)
        self.cancellation = Cancellation()

    def prepare(self, target: str = "") -> Prepared:
        """The stage `target` and those that it needs, their bases found and their steps evaluated.

        Raises `DockerfileError`, `NotFound`, and what the executor raises.
        """
        stage = self._graph.target(target)
        for each in self._load(stage.index):
            start = self._first_state(each)
            steps = evaluate(each, start, self._graph, self._arguments)
            self._evaluated[each.index] = EvaluatedStage(each, start, steps)
        return Prepared(self._graph, self._graph.stages[stage.index], tuple(self._evaluated.values()))

    def solve(self, prepared: Prepared, *, limit: int) -> Solved:
        """The result of the target of `prepare`, at most `limit` stages at work at once.

        Raises `DockerfileError`, `NotFound`, `StepFailed`, and what the executor raises.
        """
        needed = [each.stage for each in prepared.stages]
        for stage in needed:
            self._look_up(stage)
        pending = [stage for stage in needed if not self._is_done(stage)]
        if pending:
            self._executor.started()
            calls = [partial(self._complete, stage) for stage in pending]
            run_all(calls, limit=limit, cancellation=self.cancellation)
        return self._works[prepared.target.index].solved

    def _load(self, target: int) -> tuple[Stage, ...]:
        """The needed stages, once the triggers of their bases are known, which may need more."""
        fired: set[int] = set()
        while True:
            needed = self._graph.needed(self._graph.stages[target])
            fresh = [each for each in needed if each.index not in fired]
            if not fresh:
                return needed
            for stage in fresh:
                fired.add(stage.index)
                for origin in (origin for origins in stage.origins for origin in origins):
                    self._base(origin, stage)
                base = self._base(stage.base, stage)
                if isinstance(base, Base) and base.triggers and isinstance(stage.base, ImageSource):
                    self._graph = self._graph.with_triggers(stage.index, base.triggers, stage.base.reference)

    def _base(self, origin: Origin, stage: Stage) -> Base | LocalSource | None:
        """An image or named context; None for stages and for nothing. Each is asked for once."""
        key = (origin, stage.platform)
        if key not in self._bases:
            match origin:
                case ImageSource():
                    self._bases[key] = self._find_image(origin, stage)
                case NamedContext():
                    self._bases[key] = self._executor.named(origin)
                case _:
                    return None
        return self._bases[key]

    def _find_image(self, origin: ImageSource, stage: Stage) -> Base:
        vertex = next(self._numbers)
        self._progress.begin(vertex, f"[{stage.name}] FROM {origin.reference}")
        try:
            base = self._executor.image(origin, stage.platform)
        except LstoreError:
            self._progress.end(vertex, "failed")
            raise
        self._progress.end(vertex, "done")
        return base

    def _is_done(self, stage: Stage) -> bool:
        work = self._works.get(stage.index)
        return work is not None and work.position == len(work.steps)

    def _is_ready(self, stage: Stage) -> bool:
        return all(self._is_done(self._graph.stages[index]) for index in stage.needs)

    def _look_up(self, stage: Stage) -> None:
        """Take the stage as far as cheap keys do."""
        if not self._is_ready(stage):
            return
        work = self._begin(stage)
        while work.position < len(work.steps):
            step = work.steps[work.position]
            if step.makes_layer:
                with _located(step):
                    record = self._find(stage, self._task(work, step).definition)
                if record is None:
                    return
                self._progress.begin(work.vertices[work.position], self._title(work))
                self._progress.end(work.vertices[work.position], "cached")
                self._advance(work, record.layer)
            else:
                self._pass_over(work)
        work.is_done.set()

    def _complete(self, stage: Stage) -> None:
        """Take the stage to its end; in a thread of its own where others are under way."""
        for index in stage.needs:
            self._wait_for(self._graph.stages[index])
        work = self._works.get(stage.index) or self._begin(stage)
        while work.position < len(work.steps):
            self.cancellation.check()
            step = work.steps[work.position]
            if step.makes_layer:
                self._advance(work, self._carry_out(work, step))
            else:
                self._pass_over(work)
        work.is_done.set()

    def _wait_for(self, stage: Stage) -> None:
        """Stages start in the order of the file, so one that is needed has at least begun or will at once."""
        while stage.index not in self._works or not self._works[stage.index].is_done.wait(_LOOK_AGAIN):
            self.cancellation.pause(_LOOK_AGAIN)

    def _begin(self, stage: Stage) -> _Work:
        start, steps = self._start(stage), self._evaluated[stage.index].steps
        vertices = tuple(next(self._numbers) if step.makes_layer else 0 for step in steps)
        work = self._works[stage.index] = _Work(stage, steps, start, vertices)
        return work

    def _first_state(self, stage: Stage) -> StageState:
        if isinstance(stage.base, StageSource):
            return self._evaluated[stage.base.index].after.as_base()
        base = self._base(stage.base, stage)
        if isinstance(base, Base):
            return base.state
        if base is not None:
            raise stage.start.origin.error("a stage cannot start from a local directory")
        platform = stage.platform or self._arguments.target_platform
        return StageState.of_base(ImageState.scratch(platform))

    def _start(self, stage: Stage) -> Solved:
        state = self._evaluated[stage.index].start
        if isinstance(stage.base, StageSource):
            return replace(self._works[stage.base.index].solved, state=state)
        base = self._base(stage.base, stage)
        if isinstance(base, Base):
            return Solved(state, base.root, base.root.diff_ids, ())
        return Solved(state, Root(), (), ())

    def _task(self, work: _Work, step: Step) -> Task:
        sources = tuple(self._source(origin, work.stage) for origin in step.origins)
        return self._executor.task(step, work.solved.root, sources)

    def _source(self, origin: Origin, stage: Stage) -> Source:
        if isinstance(origin, StageSource):
            return self._works[origin.index].solved.root
        base = self._base(origin, stage)
        if base is None:
            return Root()
        return base.root if isinstance(base, Base) else base

    def _carry_out(self, work: _Work, step: Step) -> Descriptor | None:
        """The layer of `step`, found by either key or made."""
        vertex, title = work.vertices[work.position], self._title(work)
        self._progress.begin(vertex, title)
        outcome: Outcome = "failed"
        try:
            with _located(step):
                layer, outcome = self._find_or_make(work.stage, self._task(work, step), vertex, title)
        except Cancelled:
            outcome = "canceled"
            raise
        finally:
            self._progress.end(vertex, outcome)
        return layer

    def _find_or_make(
        self, stage: Stage, task: Task, vertex: int, title: str
    ) -> tuple[Descriptor | None, Outcome]:
        record = self._find(stage, task.definition)
        if record is not None:
            return record.layer, "cached"
        keys = [task.definition]
        content = task.content_key(self.cancellation)
        if content is not None:
            record = self._find(stage, content)
            if record is not None:
                self._recorder.keep((task.definition,), record.layer, title)
                return record.layer, "cached"
            keys.append(content)
        layer = task.perform(vertex, self.cancellation)
        self._recorder.keep(tuple(keys), layer, title)
        return layer, "done"

    def _find(self, stage: Stage, key: Digest) -> Record | None:
        return self._recorder.find(key) if self._policy.allows(stage) else None

    def _advance(self, work: _Work, layer: Descriptor | None) -> None:
        """Put the layer of the step at hand on top, and go on to the next."""
        solved = work.solved
        diff_id = None if layer is None else layer.digest
        work.solved = Solved(
            work.steps[work.position].after,
            solved.root.with_layer(layer),
            solved.base,
            (*solved.made, diff_id),
        )
        work.position += 1

    def _pass_over(self, work: _Work) -> None:
        """Go past a step that changes metadata alone."""
        work.solved = replace(work.solved, state=work.steps[work.position].after)
        work.position += 1

    def _title(self, work: _Work) -> str:
        """``[stage 2/5] RUN make``: counted as BuildKit does, FROM being the first."""
        own = [position for position, step in enumerate(work.steps) if step.makes_layer]
        number, total = own.index(work.position) + 2, len(own) + 1
        name = f"{work.stage.name} " if len(self._graph.stages) > 1 or work.stage.start.alias else ""
        text = work.steps[work.position].instruction.origin.text
        return f"[{name}{number}/{total}] {text[:_MAX_TITLE]}"


@contextmanager
def _located(step: Step) -> Iterator[None]:
    """Let errors about what the Dockerfile says tell where it says so. Raises `DockerfileError`."""
    try:
        yield
    except DockerfileError:
        raise
    except (InvalidInput, NotFound, UnsupportedContent) as error:
        raise step.instruction.origin.error(error.message, hint=error.hint) from error
