"""``lstore bundle``."""

from collections.abc import Sequence

import click

from lstore.cli.container_flags import CREATE_FLAGS, request_of
from lstore.cli.containers import ExitsAsRun
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import BUNDLE

# What there is for containers of ours, and means nothing to another runtime.
_NOT_HERE = frozenset({
    "attach", "cidfile", "init", "log_driver", "log_opt", "name", "restart", "rm", "runtime", "stop_signal",
    "stop_timeout",
})  # fmt: skip
_NOR = ("health", "label", "no_health")
FLAGS = tuple(each for each in CREATE_FLAGS if each.name not in _NOT_HERE and not each.name.startswith(_NOR))
_ABSENT = {each.name: None for each in CREATE_FLAGS if each not in FLAGS}


@verb(BUNDLE, stops_at_arguments=True)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.argument("words", metavar="[COMMAND] [ARG...]", nargs=-1)
@flags(*FLAGS)
@click.pass_obj
def command(
    session: Session, /, *, image: str, directory: str, words: Sequence[str], **given: object
) -> None:
    """DIR gets rootfs and config.json, by the OCI runtime-spec; run it with `runc run --bundle DIR NAME`."""
    from lstore.engine.bundle import bundle

    options = Given({**_ABSENT, **given})
    with ExitsAsRun():
        request = request_of(options, image, words, session.settings.environment, is_detached=False)
        with session.progress(is_quiet=options.is_on("quiet")) as progress:
            bundle(session.engine(), request, directory, progress=progress)
