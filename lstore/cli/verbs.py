"""The table of commands: names → module and summary. It alone is read for ``--help`` and completion.

A verb lives in ``lstore.cli.commands.<module>`` as the attribute `command`, which is imported when the
verb runs. Docker's management spelling (``lstore image ls``) shares the verb with the short one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. A hidden one is an alias that help does not list."""

    module: str
    summary: str
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Commands about one kind of thing, under its name."""

    summary: str
    verbs: Mapping[str, Verb]


BUILD = Verb("build", "Build an image from a Dockerfile")
COMPLETION = Verb("completion", "Write a shell's completion script")
CAT = Verb("cat", "Write files of an image to standard output")
COPY = Verb("copy", "Copy images between registries, layouts, archives and the store")
DIFF = Verb("diff", "Show how the files of two images differ")
EXPLORE = Verb("explore", "Show what is in an image: layers, files, waste and duplicates")
FSCK = Verb("fsck", "Check the store, and repair it")
HISTORY = Verb("history", "Show how an image came to be, layer by layer")
IMAGES = Verb("images", "List images")
IMPORT = Verb("import_", "Make an image of one layer from a tar archive of a file system")
INFO = Verb("info", "Show what this host and this store offer")
INSPECT = Verb("inspect", "Show all there is to know about images")
LOAD = Verb("load", "Load images from an archive, a layout directory or standard input")
LOGIN = Verb("login", "Keep credentials for a registry")
LOGOUT = Verb("logout", "Forget the credentials for a registry")
LS = Verb("ls", "List files of an image")
MOUNT = Verb("mount", "Mount an image's or a container's files to look at")
PRUNE_IMAGES = Verb("image_prune", "Remove unused images")
PULL = Verb("pull", "Download images from a registry")
PUSH = Verb("push", "Upload images to a registry")
RMI = Verb("rmi", "Remove images")
RUN = Verb("run", "Run a command in a new container")
SAVE = Verb("save", "Save images to an archive")
SEARCH = Verb("search", "Search a registry for images")
SYSTEM_DF = Verb("system_df", "Show what takes space in the store")
SYSTEM_PRUNE = Verb("system_prune", "Remove everything that nothing uses")
TAG = Verb("tag", "Give an image another name")
UMOUNT = Verb("umount", "Unmount what was mounted to look at")
VERSION = Verb("version", "Show the version")


def _alias(verb: Verb) -> Verb:
    return Verb(verb.module, verb.summary, is_hidden=True)


FAMILIES: Mapping[str, Family] = {
    "container": Family("Manage containers", {"run": RUN}),
    "image": Family(
        "Manage images",
        {
            "build": BUILD,
            "copy": COPY,
            "history": HISTORY,
            "import": IMPORT,
            "inspect": INSPECT,
            "list": _alias(IMAGES),
            "load": LOAD,
            "ls": IMAGES,
            "mount": MOUNT,
            "prune": PRUNE_IMAGES,
            "pull": PULL,
            "push": PUSH,
            "remove": _alias(RMI),
            "rm": RMI,
            "save": SAVE,
            "tag": TAG,
            "umount": UMOUNT,
            "unmount": _alias(UMOUNT),
        },
    ),
    "system": Family(
        "Look after the store",
        {"df": SYSTEM_DF, "fsck": FSCK, "info": INFO, "prune": SYSTEM_PRUNE},
    ),
}

VERBS: Mapping[str, Verb] = {
    "build": BUILD,
    "cat": CAT,
    "completion": COMPLETION,
    "copy": COPY,
    "diff": DIFF,
    "explore": EXPLORE,
    "fsck": FSCK,
    "history": HISTORY,
    "images": IMAGES,
    "import": IMPORT,
    "info": INFO,
    "inspect": INSPECT,
    "load": LOAD,
    "login": LOGIN,
    "logout": LOGOUT,
    "ls": LS,
    "mount": MOUNT,
    "pull": PULL,
    "push": PUSH,
    "rmi": RMI,
    "run": RUN,
    "save": SAVE,
    "search": SEARCH,
    "tag": TAG,
    "umount": UMOUNT,
    "unmount": _alias(UMOUNT),
    "version": VERSION,
}
