"""``lstore build``."""

from __future__ import annotations

from lstore.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.cli.flags import Given
    from lstore.cli.session import Session

_STYLES = ("auto", "plain", "tty", "rawjson")
_NETWORKS = ("default", "none", "host")
FLAGS: tuple[Flag, ...] = (
    Flag(("-t", "--tag"), "tags", "list", "Name the image", metavar="NAME[:TAG]"),
    Flag(("-f", "--file"), "file", "text", "The Dockerfile, instead of PATH/Dockerfile", metavar="FILE"),
    Flag(
        ("--target",), "target", "text", "Build this stage, instead of the last", metavar="STAGE", default=""
    ),
    Flag(("--build-arg",), "arguments", "list", "Set a build argument", metavar="KEY[=VALUE]"),
    Flag(("--label",), "labels", "list", "Give the image a label", metavar="KEY=VALUE"),
    Flag(("--annotation",), "annotations", "list", "Annotate the image's manifest", metavar="KEY=VALUE"),
    Flag(("--platform",), "platforms", "list", "Build for these platforms", metavar="OS/ARCH"),
    Flag(("--build-context",), "contexts", "list", "One more context, by name", metavar="NAME=PATH"),
    Flag(("--secret",), "secrets", "list", "Show steps a secret", metavar="id=NAME,src=FILE"),
    Flag(("--ssh",), "ssh", "list", "Forward an ssh agent to steps", metavar="default|ID=SOCKET"),
    Flag(("--add-host",), "hosts", "list", "Name a host in /etc/hosts", metavar="NAME:ADDRESS"),
    Flag(("--network",), "network", "text", "The network of steps", choices=_NETWORKS, default="default"),
    Flag(("--allow",), "allowed", "list", "Allow steps a privilege", metavar="ENTITLEMENT"),
    Flag(("-m", "--memory"), "memory", "text", "How much memory a step may use at most", metavar="SIZE"),
    Flag(("--cpus",), "cpus", "text", "How many processors a step may use at most", metavar="NUMBER"),
    Flag(("--shm-size",), "shm_size", "text", "Size of /dev/shm in steps", metavar="SIZE"),
    Flag(("--ulimit",), "ulimits", "list", "Limit a resource of steps", metavar="NAME=SOFT[:HARD]"),
    Flag(("--no-cache",), "no_cache", "switch", "Carry out every step"),
    Flag(("--no-cache-filter",), "filters", "list", "Carry out every step of this stage", metavar="STAGE"),
    Flag(
        ("--cache-from",),
        "cache_from",
        "list",
        "Look for finished steps there, too",
        metavar="NAME|type=TYPE,…",
    ),
    Flag(("--cache-to",), "cache_to", "list", "Put the finished steps there", metavar="type=TYPE,…"),
    Flag(("--pull",), "pull", "switch", "Pull base images although they are here"),
    Flag(("--squash",), "is_squashed", "switch", "Make one layer of all that the build adds"),
    Flag(
        ("--provenance",),
        "provenance",
        "text",
        "Say beside the image how it was made",
        metavar="BOOL|mode=MODE",
        default="",
    ),
    Flag(
        ("--sbom",),
        "sbom",
        "text",
        "Say beside the image which packages are in it",
        metavar="BOOL",
        default="",
    ),
    Flag(("--attest",), "attests", "list", "The same as these", metavar="type=provenance|sbom"),
    Flag(("-o", "--output"), "outputs", "list", "Where the result goes", metavar="type=TYPE,dest=PATH"),
    Flag(("--iidfile",), "iidfile", "text", "Write the image's id to a file", metavar="FILE"),
    Flag(
        ("--metadata-file",),
        "metadata_file",
        "text",
        "Write what was built to a file, as JSON",
        metavar="FILE",
    ),
    Flag(("--progress",), "style", "text", "How progress is shown", choices=_STYLES, default="auto"),
    Flag(("-q", "--quiet"), "quiet", "switch", "Show the image's id alone"),
    Flag(("--check",), "is_check", "switch", "Check the Dockerfile, and build nothing"),
    Flag(("--debug-shell",), "debug_shell", "switch", "Open a shell in the state before the step that fails"),
)
LEAST = 1
MOST = 1


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Build the context that is the one word; 0, or what a check found."""
    from lstore.cli.build_command import build_image

    return build_image(session, given, words[0])
