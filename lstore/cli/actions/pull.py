"""``lstore pull``."""

from __future__ import annotations

from layerstore.errors import UsageError
from lstore.cli.flags import ALL_PLATFORMS, PLATFORM, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from layerstore.oci.platform import Platform
    from lstore.cli.flags import Given
    from lstore.cli.session import Session
    from lstore.engine.pull import Pulled

FLAGS: tuple[Flag, ...] = (
    Flag(("-a", "--all-tags"), "all_tags", "switch", "Download every tag of the repository"),
    Flag(("-q", "--quiet"), "quiet", "switch", "Show the digest alone"),
    PLATFORM,
    ALL_PLATFORMS,
)
LEAST = 1
MOST = 1


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Download the image that the one of `words` names; 0. Raises `UsageError`."""
    from layerstore.oci.platform import Platform

    text = given.text("platform")
    platform = None if text is None else Platform.parse(text)
    if platform is not None and given.is_on("all_platforms"):
        raise UsageError("--platform and --all-platforms contradict each other")
    if given.is_on("all_tags"):
        _pull_all_tags(session, words[0], platform, is_quiet=given.is_on("quiet"))
    else:
        _pull_one(session, words[0], platform, given)
    return 0


def _pull_one(session: Session, name: str, platform: Platform | None, given: Given) -> None:
    from layerstore.oci.reference import Reference
    from lstore.engine.pull import pull

    is_quiet, engine, reference = given.is_on("quiet"), session.engine(), Reference.parse(name)
    if not is_quiet and reference.digest is None and not name.endswith(f":{reference.tag}"):
        session.line(f"Using default tag: {reference.tag}")
    with session.progress(is_quiet=is_quiet) as progress:
        pulled = pull(
            engine,
            reference,
            platform=platform,
            all_platforms=given.is_on("all_platforms"),
            progress=progress,
        )
    _show(session, pulled, is_quiet=is_quiet)


def _pull_all_tags(session: Session, name: str, platform: Platform | None, *, is_quiet: bool) -> None:
    from layerstore.oci.reference import Reference
    from lstore.engine.pull import pull_all_tags

    engine, repository = session.engine(), Reference.parse_repository(name)
    done: list[Pulled] = []
    try:
        with session.progress(is_quiet=is_quiet) as progress:
            for pulled in pull_all_tags(engine, repository, platform=platform, progress=progress):
                done.append(pulled)
    finally:  # what is here stays, whatever came after it; it is told once no bar moves any more
        for pulled in done:
            _show(session, pulled, is_quiet=is_quiet)


def _show(session: Session, pulled: Pulled, *, is_quiet: bool) -> None:
    if is_quiet:
        session.line(str(pulled.digest))
        return
    news = "Downloaded newer image for" if pulled.is_new else "Image is up to date for"
    session.line(f"Digest: {pulled.digest}")
    session.line(f"Status: {news} {pulled.name.familiar}")
    session.line(str(pulled.name))
