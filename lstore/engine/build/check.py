"""BuildKit's build checks for one request, without building anything: ``--check``."""

import os
from typing import TYPE_CHECKING

from layerstore.build.arguments import BuildArguments
from layerstore.build.context import read_ignore_file
from layerstore.build.dockerignore import IgnoreMatcher
from layerstore.build.evaluate import EvaluatedStage, StageState, evaluate
from layerstore.build.image_state import ImageState
from layerstore.build.lint import check_build
from layerstore.build.lint_rules import LintWarning
from layerstore.build.parser import parse
from layerstore.build.source import Source
from layerstore.build.stages import ImageSource, StageGraph, StageSource
from layerstore.content import read_document
from layerstore.errors import LstoreError, file_error
from layerstore.oci.config import ImageConfig
from layerstore.oci.platform import Platform
from lstore.engine import catalog
from lstore.engine.build.request import BuildRequest

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def check(engine: "Engine", request: BuildRequest) -> tuple[LintWarning, ...]:
    """What is likely a mistake in the Dockerfile of `request`, as far as its ``# check=`` wants to hear of it.

    Bases that the store lacks count as empty images. Raises `DockerfileError`, `NotFound`.
    """
    dockerfile = parse(Source.parse(request.dockerfile, request.dockerfile_name))
    platform = request.platforms[0] if request.platforms else engine.platform
    arguments = BuildArguments(request.arguments, platform, engine.platform, request.target)
    graph = StageGraph.build(dockerfile, arguments, contexts=request.named_contexts)
    stages: dict[int, EvaluatedStage] = {}
    for stage in graph.needed(graph.target(request.target)):
        match stage.base:
            case StageSource(index):
                start = stages[index].after.as_base()
            case ImageSource(reference):
                start = StageState.of_base(_image(engine, reference, stage.platform or platform))
            case _:
                start = StageState.of_base(ImageState.scratch(stage.platform or platform))
        steps = evaluate(stage, start, graph, arguments)
        stages[stage.index] = EvaluatedStage(stage, start, steps)
    return check_build(dockerfile, graph, arguments, stages.values(), _ignored(request))


def _ignored(request: BuildRequest) -> IgnoreMatcher | None:
    if request.context is None:
        return None
    try:
        fd = os.open(request.context, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise file_error(error, f"open the build context {request.context}") from error
    try:
        return read_ignore_file(fd, request.dockerfile_name)
    finally:
        os.close(fd)


def _image(engine: "Engine", reference: str, platform: Platform) -> ImageState:
    try:
        image = catalog.find(engine.store, reference, platform)
        if image.manifest is not None:
            raw = read_document(engine.store.blobs, image.manifest.config)
            return ImageState.of_image(ImageConfig.parse(raw))
    except LstoreError:
        pass
    return ImageState.scratch(platform)
