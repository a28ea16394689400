"""What the tests of builds share: Dockerfiles from text, and how hypothesis runs."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest
from hypothesis import settings

from layerstore.build.arguments import BuildArguments
from layerstore.build.context import Context, Fidelity
from layerstore.build.dockerignore import IgnoreMatcher
from layerstore.build.evaluate import StageState, Step, evaluate
from layerstore.build.image_state import ImageState
from layerstore.build.parser import Dockerfile, parse
from layerstore.build.source import Source
from layerstore.build.stages import Stage, StageGraph, StageSource
from layerstore.oci.platform import Platform

settings.register_profile("build", deadline=None)
settings.load_profile("build")

PLATFORM = Platform("linux", "amd64")


class Built(NamedTuple):
    """A Dockerfile, evaluated up to its target."""

    dockerfile: Dockerfile
    graph: StageGraph
    arguments: BuildArguments
    steps: Mapping[int, tuple[Step, ...]]
    results: Mapping[int, StageState]
    target: Stage

    @property
    def state(self) -> StageState:
        """What the target has become."""
        return self.results[self.target.index]

    @property
    def image(self) -> ImageState:
        """The target's image."""
        return self.state.image


Build = Callable[..., Built]


@pytest.fixture
def parsed() -> Callable[[str], Dockerfile]:
    """Parses a dedented Dockerfile."""
    return lambda text: parse(Source.parse(dedent(text).encode()))


@pytest.fixture
def build() -> Build:
    """Evaluates a dedented Dockerfile; `bases` are the states of images by name, every other one is empty."""

    def run(
        text: str, *, bases: Mapping[str, ImageState] | None = None, target: str = "", **given: str
    ) -> Built:
        dockerfile = parse(Source.parse(dedent(text).encode()))
        arguments = BuildArguments(given, PLATFORM, PLATFORM, target)
        graph = StageGraph.build(dockerfile, arguments)
        steps: dict[int, tuple[Step, ...]] = {}
        results: dict[int, StageState] = {}
        for stage in graph.needed(graph.target(target)):
            if isinstance(stage.base, StageSource):
                base = results[stage.base.index].as_base()
            else:
                image = (bases or {}).get(stage.start.image, ImageState.scratch(PLATFORM))
                base = StageState.of_base(image)
            steps[stage.index] = evaluate(stage, base, graph, arguments)
            results[stage.index] = steps[stage.index][-1].after if steps[stage.index] else base
        return Built(dockerfile, graph, arguments, steps, results, graph.target(target))

    return run


OpenContext = Callable[..., Context]


@pytest.fixture
def open_context() -> Iterator[OpenContext]:
    """Opens directories as contexts, until the test ends."""
    with ExitStack() as stack:

        def open_directory(path: Path, *patterns: str, fidelity: Fidelity = Fidelity.CONTENT) -> Context:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, fd)
            return Context(fd, IgnoreMatcher.of(patterns), fidelity=fidelity)

        yield open_directory
