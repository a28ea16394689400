"""``lstore build`` once its options are known: build, hand on the result, tell of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from layerstore.dataclass import replace
from layerstore.errors import EXIT_FAILURE, DockerfileError, StepFailed
from lstore.cli import build_options
from lstore.cli.build_progress import PullLines, StepLogs, open_build_progress
from lstore.cli.build_request import BuildOptions
from lstore.cli.session import refuse_terminal
from lstore.engine.output_file import output_file

if TYPE_CHECKING:
    from lstore.cli.build_progress import Style
    from lstore.cli.flags import Given
    from lstore.cli.session import Session
    from lstore.engine.build.build import Built
    from lstore.engine.build.request import BuildRequest


def build_image(session: Session, given: Given, context: str) -> int:
    """Do what `given` says, the values of `lstore.cli.actions.build.FLAGS`, with `context`; the exit status."""
    from lstore.cli.build_report import report_warnings
    from lstore.engine.build.inputs import opened_inputs

    targets = build_options.outputs(given.texts("outputs"))
    if any(each.destination == "-" for each in targets):
        refuse_terminal(session, "write an archive")
    engine = session.engine()
    is_quiet = given.is_on("quiet")
    with opened_inputs(engine, context, given.text("file"), session.streams.stdin) as inputs:
        asked = BuildOptions.of(given)
        names = [*asked.tags, *(name for each in targets for name in each.names)]
        request = replace(asked, tags=names).request(inputs, session.settings.environment)
        if given.is_on("is_check"):
            return _check(session, request)
        style = cast("Style", "quiet" if is_quiet else given.text("style"))
        built = _build(session, request, style, debug_shell=given.is_on("debug_shell"))
        for each in targets:
            _write(session, built, request, each)
    if (path := given.text("iidfile")) is not None:
        _write_file(path, str(built.id).encode())
    if (path := given.text("metadata_file")) is not None:
        _write_file(path, _metadata(built, request))
    if is_quiet:
        session.line(str(built.id))
    else:
        report_warnings(session, built, request)
    return 0


def _build(session: Session, request: BuildRequest, style: Style, *, debug_shell: bool) -> Built:
    from lstore.engine.build.build import build, open_shell

    session.streams.out.flush()
    with open_build_progress(session.streams.err, style) as shown:
        logs = StepLogs(shown)
        failure: StepFailed | DockerfileError
        try:
            return build(session.engine(), request, logs, pulls=PullLines(logs))
        except (StepFailed, DockerfileError) as error:
            failure = error
    from lstore.cli.build_progress import Quiet
    from lstore.cli.build_report import report_failure

    report_failure(session, failure, request.dockerfile, request.dockerfile_name, logs)
    if isinstance(failure, StepFailed):
        if debug_shell:
            open_shell(session.engine(), request, failure.line, Quiet())
        else:
            failure.hint = "the same with --debug-shell, for a shell in the state before the step"
    raise failure


def _check(session: Session, request: BuildRequest) -> int:
    from lstore.cli.build_report import counted, told
    from lstore.engine.build.check import check

    warnings = check(session.engine(), request)
    for each in warnings:
        session.lines(told(each, request))
    session.line(f"Check complete, {counted(len(warnings))} found.")
    return EXIT_FAILURE if warnings else 0


def _write(session: Session, built: Built, request: BuildRequest, target: build_options.OutputOption) -> None:
    """Hand the result on to one ``--output``; in the store it is anyway."""
    if target.type == "image":
        return
    from lstore.engine.build.output import write_archive, write_files, write_layout

    engine = session.engine()
    match target.type:
        case "registry":
            from lstore.engine.packed import DEFAULT
            from lstore.engine.push import push

            with session.progress() as progress:
                for name in request.tags:
                    push(engine, name, packing=target.packing or DEFAULT, progress=progress)
        case "local":
            write_files(engine, built, target.destination)
        case "oci" if not target.is_tar:
            write_layout(engine.store, built, request.tags, target.destination, target.packing)
        case "oci" | "docker" | "tar" as kind:
            if target.destination == "-":
                write_archive(engine, built, request.tags, kind, session.streams.out.binary, target.packing)
                return
            with output_file(target.destination) as stream:
                write_archive(engine, built, request.tags, kind, stream, target.packing)


def _metadata(built: Built, request: BuildRequest) -> bytes:
    """What buildx writes: names, digests and the descriptor of the result."""
    from layerstore.oci.document import dump

    root = built.index.descriptor if built.index is not None else built.images[0].descriptor
    return dump(
        {
            "containerimage.config.digest": str(built.images[0].config.image_id),
            "containerimage.descriptor": root.to_json(),
            "containerimage.digest": str(root.digest),
            "image.name": ",".join(str(name) for name in request.tags),
        }
    )


def _write_file(path: str, data: bytes) -> None:
    with output_file(os.path.abspath(path)) as stream:
        stream.write(data)
