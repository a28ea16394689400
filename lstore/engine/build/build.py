"""`build`: parse, solve for each platform, and make the image."""

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from layerstore.build.arguments import BuildArguments
from layerstore.build.executor import BuildProgress
from layerstore.build.lint import check_build, options_of, refuse
from layerstore.build.lint_rules import LintWarning
from layerstore.build.parser import Dockerfile, parse
from layerstore.build.solver import CachePolicy, Solver
from layerstore.build.source import Source
from layerstore.build.stages import StageGraph
from layerstore.dataclass import dataclass, replace
from layerstore.errors import StepFailed
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index, build_index
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from lstore.engine.build.executor import SiteExecutor
from lstore.engine.build.image import BuiltImage, keep_images, make_image
from lstore.engine.build.images import ImageFinder
from lstore.engine.build.recorder import StoreRecorder
from lstore.engine.build.request import PARALLEL_STAGES, BuildRequest
from lstore.engine.build.site import Site, opened_site

if TYPE_CHECKING:
    from lstore.engine.build.attestation import Attestation
    from lstore.engine.build.exchange import ImportedCache
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to: its images, and what names the whole."""

    images: tuple[BuiltImage, ...]
    index: Index | None
    id: Digest
    """The image's id, or the digest of an index."""
    warnings: tuple[LintWarning, ...]
    """What is likely a mistake in the Dockerfile, as far as it wants to hear of it."""
    unused: tuple[str, ...]
    """The build arguments that nothing asked for."""


def build(
    engine: "Engine", request: BuildRequest, progress: BuildProgress, *, pulls: Progress = SILENT
) -> Built:
    """Build what `request` asks for, and keep it in the store. Durable.

    Raises `DockerfileError` (also for what ``# check=error=true`` makes one), `StepFailed`, `NotFound`,
    what pulling raises, `StorageError`; then no ref has changed, and finished steps are there for the next build.
    """
    dockerfile = parse(Source.parse(request.dockerfile, request.dockerfile_name))
    with opened_site(engine, progress) as site, ExitStack() as opened:
        recorder = StoreRecorder(site, _imported(engine, request, opened))
        warnings: list[LintWarning] = []
        images = tuple(
            _build_one(site, request, dockerfile, platform, progress, pulls, recorder, warnings)
            for platform in request.platforms or (engine.platform,)
        )
        attestations = _attestations(engine, images, request)
        index = None
        if len(images) > 1 or attestations:
            described = (*(each.descriptor for each in images), *(each.descriptor for each in attestations))
            index = build_index(described)
        identity = keep_images(engine.store, images, index, request.tags, attestations)
        has_news = site.has_workers
        for place in request.cache_to:
            from lstore.engine.build.exchange import export

            export(engine, recorder.used, place)
    if has_news:
        from lstore.engine.build.prune import bound

        bound(engine, request.keep_storage)
    unused = BuildArguments(request.arguments, engine.platform, engine.platform).unused(dockerfile)
    return Built(images, index, identity, tuple(dict.fromkeys(warnings)), unused)


def _build_one(
    site: Site,
    request: BuildRequest,
    dockerfile: Dockerfile,
    platform: Platform,
    progress: BuildProgress,
    pulls: Progress,
    recorder: StoreRecorder,
    warnings: list[LintWarning],
) -> BuiltImage:
    arguments = BuildArguments(request.arguments, platform, site.engine.platform, request.target)
    graph = StageGraph.build(dockerfile, arguments, contexts=request.named_contexts)
    finder = ImageFinder(site, platform, request.pull, pulls)
    with ExitStack() as opened:
        executor = SiteExecutor(site, request, finder, opened)
        solver = Solver(graph, arguments, executor, recorder, request.policy, progress)
        limit = PARALLEL_STAGES if request.surroundings.shell_at is None else 1
        prepared = solver.prepare(request.target)
        found = check_build(dockerfile, prepared.graph, arguments, prepared.stages, executor.ignored())
        refuse(found, options_of(dockerfile, request.arguments))
        warnings += found
        solved = solver.solve(prepared, limit=limit)
        if request.is_squashed:
            from lstore.engine.build.squash import squashed

            solved = squashed(site, solved, request.epoch)
        image = make_image(
            solved, labels=request.labels, annotations=request.annotations, epoch=request.epoch
        )
        return replace(image, materials=finder.materials)


def _attestations(
    engine: "Engine", images: tuple[BuiltImage, ...], request: BuildRequest
) -> "tuple[Attestation, ...]":
    if not (request.has_provenance or request.has_sbom):
        return ()
    from lstore.engine.build.attestation import attest
    from lstore.engine.build.provenance import provenance
    from lstore.engine.build.sbom import sbom

    made = []
    for image in images:
        claims = [sbom(engine, image, epoch=request.epoch)] if request.has_sbom else []
        claims += [provenance(image, request)] if request.has_provenance else []
        made.append(attest(image, request.tags, claims))
    return tuple(made)


def _imported(engine: "Engine", request: BuildRequest, opened: ExitStack) -> "tuple[ImportedCache, ...]":
    if not request.cache_from:
        return ()
    from lstore.engine.build.exchange import opened_caches

    return opened.enter_context(opened_caches(engine, request.cache_from))


def open_shell(engine: "Engine", request: BuildRequest, line: int, progress: BuildProgress) -> None:
    """Open a shell where the RUN at `line` failed, in the state before it, on our own terminal.

    To be called in the main thread, no display being at work. What the shell does is lost.
    """
    around = replace(request.surroundings, shell_at=line)
    with suppress(StepFailed):
        build(engine, replace(request, surroundings=around, policy=CachePolicy()), progress)
