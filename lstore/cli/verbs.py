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


ATTACH = Verb("attach", "Join our streams with those of a container that runs")
CAT = Verb("cat", "Write files of an image to standard output")
BUILD = Verb("build", "Build an image from a Dockerfile")
BUILDER_DU = Verb("builder_du", "Show what builds keep for the next ones")
BUILDER_PRUNE = Verb("builder_prune", "Remove what builds keep")
COMPLETION = Verb("completion", "Write a shell's completion script")
COPY = Verb("copy", "Copy images between registries, layouts, archives and the store")
CREATE = Verb("create", "Make a container without starting it")
DIFF = Verb("diff", "Show how the files of two images differ")
EXEC = Verb("exec", "Run a command in a container that runs")
EXPLORE = Verb("explore", "Show what is in an image: layers, files, waste and duplicates")
FSCK = Verb("fsck", "Check the store, and repair it")
HISTORY = Verb("history", "Show how an image came to be, layer by layer")
IMAGES = Verb("images", "List images")
IMPORT = Verb("import_", "Make an image of one layer from a tar archive of a file system")
INFO = Verb("info", "Show what this host and this store offer")
INSPECT = Verb("inspect", "Show all there is to know about images")
KILL = Verb("kill", "Send a signal to containers")
LOAD = Verb("load", "Load images from an archive, a layout directory or standard input")
LOGIN = Verb("login", "Keep credentials for a registry")
LOGOUT = Verb("logout", "Forget the credentials for a registry")
LOGS = Verb("logs", "Show what a container wrote")
LS = Verb("ls", "List files of an image")
MOUNT = Verb("mount", "Mount an image's or a container's files to look at")
PAUSE = Verb("pause", "Let all processes of containers stand still")
PRUNE_IMAGES = Verb("image_prune", "Remove unused images")
PS = Verb("ps", "List containers")
PULL = Verb("pull", "Download images from a registry")
PUSH = Verb("push", "Upload images to a registry")
RENAME = Verb("rename", "Give a container another name")
RESTART = Verb("restart", "Stop containers and start them again")
RM = Verb("rm", "Remove containers")
RMI = Verb("rmi", "Remove images")
RUN = Verb("run", "Run a command in a new container")
SAVE = Verb("save", "Save images to an archive")
SEARCH = Verb("search", "Search a registry for images")
START = Verb("start", "Start containers that do not run")
STOP = Verb("stop", "Stop containers")
SYSTEM_DF = Verb("system_df", "Show what takes space in the store")
SYSTEM_PRUNE = Verb("system_prune", "Remove everything that nothing uses")
TAG = Verb("tag", "Give an image another name")
UMOUNT = Verb("umount", "Unmount what was mounted to look at")
UNPAUSE = Verb("unpause", "Let paused containers go on")
VERSION = Verb("version", "Show the version")
WAIT = Verb("wait", "Wait for containers to end, and print their exit statuses")


def _alias(verb: Verb) -> Verb:
    return Verb(verb.module, verb.summary, is_hidden=True)


FAMILIES: Mapping[str, Family] = {
    "builder": Family(
        "Manage what builds keep", {"build": _alias(BUILD), "du": BUILDER_DU, "prune": BUILDER_PRUNE}
    ),
    "container": Family(
        "Manage containers",
        {
            "attach": ATTACH,
            "create": CREATE,
            "exec": EXEC,
            "kill": KILL,
            "logs": LOGS,
            "pause": PAUSE,
            "rename": RENAME,
            "restart": RESTART,
            "rm": RM,
            "run": RUN,
            "start": START,
            "stop": STOP,
            "unpause": UNPAUSE,
            "wait": WAIT,
            "list": _alias(PS),
            "ls": PS,
            "ps": _alias(PS),
        },
    ),
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
    "attach": ATTACH,
    "cat": CAT,
    "completion": COMPLETION,
    "copy": COPY,
    "create": CREATE,
    "diff": DIFF,
    "exec": EXEC,
    "explore": EXPLORE,
    "fsck": FSCK,
    "history": HISTORY,
    "images": IMAGES,
    "import": IMPORT,
    "info": INFO,
    "inspect": INSPECT,
    "kill": KILL,
    "load": LOAD,
    "login": LOGIN,
    "logout": LOGOUT,
    "logs": LOGS,
    "ls": LS,
    "mount": MOUNT,
    "pause": PAUSE,
    "ps": PS,
    "pull": PULL,
    "push": PUSH,
    "rename": RENAME,
    "restart": RESTART,
    "rm": RM,
    "rmi": RMI,
    "run": RUN,
    "save": SAVE,
    "search": SEARCH,
    "start": START,
    "stop": STOP,
    "tag": TAG,
    "umount": UMOUNT,
    "unmount": _alias(UMOUNT),
    "unpause": UNPAUSE,
    "version": VERSION,
    "wait": WAIT,
}
