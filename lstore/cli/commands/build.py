"""``lstore build``."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from layerstore.dataclass import replace
from layerstore.errors import EXIT_FAILURE, DockerfileError, StepFailed
from lstore.cli import build_options
from lstore.cli.build_progress import PullLines, StepLogs, open_build_progress
from lstore.cli.build_request import BuildOptions
from lstore.cli.parsing import verb
from lstore.cli.session import Session, refuse_terminal
from lstore.cli.verbs import BUILD
from lstore.engine.output_file import output_file

if TYPE_CHECKING:
    from lstore.cli.build_progress import Style
    from lstore.engine.build.build import Built
    from lstore.engine.build.request import BuildRequest

_STYLES = ("auto", "plain", "tty", "rawjson")
_NETWORKS = ("default", "none", "host")


@verb(BUILD)
@click.argument("context", metavar="PATH|URL|-")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name the image")
@click.option("-f", "--file", metavar="FILE", help="The Dockerfile, instead of PATH/Dockerfile")
@click.option("--target", default="", metavar="STAGE", help="Build this stage, instead of the last")
@click.option("--build-arg", "arguments", multiple=True, metavar="KEY[=VALUE]", help="Set a build argument")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Give the image a label")
@click.option(
    "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotate the image's manifest"
)
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="Build for these platforms")
@click.option(
    "--build-context", "contexts", multiple=True, metavar="NAME=PATH", help="One more context, by name"
)
@click.option("--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE", help="Show steps a secret")
@click.option("--ssh", multiple=True, metavar="default|ID=SOCKET", help="Forward an ssh agent to steps")
@click.option("--add-host", "hosts", multiple=True, metavar="NAME:ADDRESS", help="Name a host in /etc/hosts")
@click.option("--network", type=click.Choice(_NETWORKS), default="default", help="The network of steps")
@click.option("--allow", "allowed", multiple=True, metavar="ENTITLEMENT", help="Allow steps a privilege")
@click.option("-m", "--memory", metavar="SIZE", help="How much memory a step may use at most")
@click.option("--cpus", metavar="NUMBER", help="How many processors a step may use at most")
@click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm in steps")
@click.option(
    "--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="Limit a resource of steps"
)
@click.option("--no-cache", is_flag=True, help="Carry out every step")
@click.option(
    "--no-cache-filter", "filters", multiple=True, metavar="STAGE", help="Carry out every step of this stage"
)
@click.option(
    "--cache-from", multiple=True, metavar="NAME|type=TYPE,…", help="Look for finished steps there, too"
)
@click.option("--cache-to", multiple=True, metavar="type=TYPE,…", help="Put the finished steps there")
@click.option("--pull", is_flag=True, help="Pull base images although they are here")
@click.option("--squash", "is_squashed", is_flag=True, help="Make one layer of all that the build adds")
@click.option(
    "--provenance", default="", metavar="BOOL|mode=MODE", help="Say beside the image how it was made"
)
@click.option("--sbom", default="", metavar="BOOL", help="Say beside the image which packages are in it")
@click.option("--attest", "attests", multiple=True, metavar="type=provenance|sbom", help="The same as these")
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="type=TYPE,dest=PATH", help="Where the result goes"
)
@click.option("--iidfile", metavar="FILE", help="Write the image's id to a file")
@click.option("--metadata-file", metavar="FILE", help="Write what was built to a file, as JSON")
@click.option("--progress", "style", type=click.Choice(_STYLES), default="auto", help="How progress is shown")
@click.option("-q", "--quiet", is_flag=True, help="Show the image's id alone")
@click.option("--check", "is_check", is_flag=True, help="Check the Dockerfile, and build nothing")
@click.option("--debug-shell", is_flag=True, help="Open a shell in the state before the step that fails")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    context: str,
    file: str | None,
    outputs: Sequence[str],
    iidfile: str | None,
    metadata_file: str | None,
    style: "Style",
    quiet: bool,
    is_check: bool,
    debug_shell: bool,
    **options: object,
) -> int:
    """The image is made of the Dockerfile's steps; those that were carried out before are not again."""
    from lstore.cli.build_report import report_warnings
    from lstore.engine.build.inputs import opened_inputs

    targets = build_options.outputs(outputs)
    if any(each.destination == "-" for each in targets):
        refuse_terminal(session, "write an archive")
    engine = session.engine()
    with opened_inputs(engine, context, file, session.streams.stdin) as inputs:
        asked = BuildOptions(**options)  # type: ignore[arg-type]  # click made them
        names = [*asked.tags, *(name for each in targets for name in each.names)]
        request = replace(asked, tags=names).request(inputs, session.settings.environment)
        if is_check:
            return _check(session, request)
        built = _build(session, request, "quiet" if quiet else style, debug_shell=debug_shell)
        for each in targets:
            _write(session, built, request, each)
    if iidfile is not None:
        _write_file(iidfile, str(built.id).encode())
    if metadata_file is not None:
        _write_file(metadata_file, _metadata(built, request))
    if quiet:
        session.line(str(built.id))
    else:
        report_warnings(session, built, request)
    return 0


def _build(session: Session, request: "BuildRequest", style: "Style", *, debug_shell: bool) -> "Built":
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


def _check(session: Session, request: "BuildRequest") -> int:
    from lstore.cli.build_report import counted, told
    from lstore.engine.build.check import check

    warnings = check(session.engine(), request)
    for each in warnings:
        session.lines(told(each, request))
    session.line(f"Check complete, {counted(len(warnings))} found.")
    return EXIT_FAILURE if warnings else 0


def _write(
    session: Session, built: "Built", request: "BuildRequest", target: build_options.OutputOption
) -> None:
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


def _metadata(built: "Built", request: "BuildRequest") -> bytes:
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
