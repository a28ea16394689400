"""``lstore commit``, ``lstore container commit``."""

from collections.abc import Sequence

import click

from layerstore.oci.reference import Reference
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.moments import moment_of_creation
from lstore.cli.options import change_option, message_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import COMMIT


@verb(COMMIT)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("image", metavar="[REPOSITORY[:TAG]]", default="")
@click.option("-a", "--author", default="", metavar="STRING", help="The author of the image")
@change_option
@message_option
@click.option("-p", "--pause/--no-pause", default=True, help="Pause the container meanwhile")
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    image: str,
    author: str,
    changes: Sequence[str],
    message: str,
    pause: bool,
) -> None:
    from lstore.engine.containers.commit import CommitRequest, commit

    request = CommitRequest(
        created=moment_of_creation(session.settings.environment, session.now()),
        name=Reference.parse(image) if image else None,
        message=message,
        author=author,
        changes=changes,
        pauses=pause,
    )
    session.line(str(commit(session.engine(), name, request)))
