"""BuildKit's build checks for one request, without building anything: ``--check``, and the warnings of a build."""

from typing import TYPE_CHECKING

from layerstore.build.arguments import BuildArguments
from layerstore.build.evaluate import StageState, evaluate
from layerstore.build.image_state import ImageState
from layerstore.build.lint import check_file, check_graph, check_steps, options_of, selected
from layerstore.build.lint_rules import LintWarning
from layerstore.build.parser import parse
from layerstore.build.source import Source
from layerstore.build.stages import ImageSource, StageGraph, StageSource
from layerstore.content import read_document
from layerstore.errors import LstoreError
from layerstore.oci.config import ImageConfig
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
    warnings = [*check_file(dockerfile), *check_graph(dockerfile, graph, arguments)]
    states: dict[int, StageState] = {}
    for stage in graph.needed(graph.target(request.target)):
        match stage.base:
            case StageSource(index):
                start = states[index].as_base()
            case ImageSource(reference):
                start = StageState.of_base(_image(engine, reference, request))
            case _:
                start = StageState.of_base(ImageState.scratch(platform))
        steps = evaluate(stage, start, graph, arguments)
        states[stage.index] = steps[-1].after if steps else start
        warnings += check_steps(steps)
    return selected(warnings, options_of(dockerfile))


def _image(engine: "Engine", reference: str, request: BuildRequest) -> ImageState:
    platform = request.platforms[0] if request.platforms else engine.platform
    try:
        image = catalog.find(engine.store, reference, platform)
        if image.manifest is not None:
            raw = read_document(engine.store.blobs, image.manifest.config)
            return ImageState.of_image(ImageConfig.parse(raw))
    except LstoreError:
        pass
    return ImageState.scratch(platform)
