"""The table of commands: names → module and summary. It alone is read for ``--help`` and completion.

A verb lives in ``lstore.cli.commands.<module>`` as the attribute `command`, which is imported when the
verb runs. Docker's management spelling (``lstore image ls``) shares the verb with the short one.
"""

from __future__ import annotations

from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Verb(Value):
    """One command. A hidden one is an alias that help does not list."""

    module: str
    summary: str
    is_hidden: bool = False


class Family(Value):
    """Commands about one kind of thing, under its name."""

    summary: str
    verbs: Mapping[str, Verb]


ATTACH = Verb("attach", "Join standard input, output and error with those of a running container")
BUILD = Verb("build", "Build an image from a Dockerfile")
BUILDER_DU = Verb("builder_du", "Show what builds keep for the next ones")
BUILDER_EXPORT = Verb("builder_export", "Write the caches of RUN --mount=type=cache to a tar archive")
BUILDER_IMPORT = Verb("builder_import", "Take caches of RUN --mount=type=cache from a tar archive")
BUILDER_PRUNE = Verb("builder_prune", "Remove what builds keep")
BUNDLE = Verb("bundle", "Write an image as a bundle for runc, crun and other OCI runtimes")
CAT = Verb("cat", "Write files of an image to standard output")
COMMIT = Verb("commit", "Make an image of what a container has changed")
COMPLETION = Verb("completion", "Write a shell's completion script")
COPY = Verb("copy", "Copy images between registries, layouts, archives and the store")
CP = Verb("cp", "Copy files from or into a container")
CREATE = Verb("create", "Make a container without starting it")
DIFF = Verb("diff", "Show what a container changed, or how the files of two images differ")
EVENTS = Verb("events", "Show what happens to containers")
EXEC = Verb("exec", "Run a command in a running container")
EXPLORE = Verb("explore", "Show what is in an image: layers, files, waste and duplicates")
EXPORT = Verb("export", "Write a container's files to a tar archive")
FSCK = Verb("fsck", "Check the store, and repair it")
HISTORY = Verb("history", "Show how an image came to be, layer by layer")
IMAGES = Verb("images", "List images")
IMPORT = Verb("import_", "Make an image of one layer from a tar archive of a file system")
INFO = Verb("info", "Show what this host and this store offer")
INSPECT = Verb("inspect", "Show all there is to know about containers and images")
KILL = Verb("kill", "Send a signal to containers")
LOAD = Verb("load", "Load images from an archive, a layout directory or standard input")
LOGIN = Verb("login", "Keep credentials for a registry")
LOGOUT = Verb("logout", "Forget the credentials for a registry")
LOGS = Verb("logs", "Show the output of a container")
LS = Verb("ls", "List files of an image")
MOUNT = Verb("mount", "Mount the files of an image or a container, read-only")
PAUSE = Verb("pause", "Pause all processes of containers")
PORT = Verb("port", "List the published ports of a container")
PRUNE_CONTAINERS = Verb("container_prune", "Remove all stopped containers")
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
START = Verb("start", "Start stopped containers")
STATS = Verb("stats", "Show what containers use, as it changes")
STOP = Verb("stop", "Stop containers")
SYSTEM_DF = Verb("system_df", "Show what takes space in the store")
SYSTEM_PRUNE = Verb("system_prune", "Remove everything that nothing uses")
SYSTEM_RESTORE = Verb(
    "system_restore", "Restart the containers that should run, and clear up after killed processes"
)
SYSTEM_SERVICE = Verb(
    "system_service", "Print a systemd unit that restores containers when the machine starts"
)
TAG = Verb("tag", "Give an image another name")
TOP = Verb("top", "Show the processes of a container")
UMOUNT = Verb("umount", "Unmount what lstore mount has mounted")
UNPAUSE = Verb("unpause", "Resume paused containers")
UPDATE = Verb("update", "Change limits and restart policies of containers")
VERSION = Verb("version", "Show the version")
WAIT = Verb("wait", "Wait for containers to end, and print their exit statuses")


def _alias(verb: Verb) -> Verb:
    return Verb(verb.module, verb.summary, is_hidden=True)


FAMILIES: Mapping[str, Family] = {
    "builder": Family(
        "Manage what builds keep",
        {
            "build": _alias(BUILD),
            "du": BUILDER_DU,
            "export": BUILDER_EXPORT,
            "import": BUILDER_IMPORT,
            "prune": BUILDER_PRUNE,
        },
    ),
    "container": Family(
        "Manage containers",
        {
            "attach": ATTACH,
            "commit": COMMIT,
            "cp": CP,
            "create": CREATE,
            "diff": DIFF,
            "exec": EXEC,
            "export": EXPORT,
            "inspect": INSPECT,
            "kill": KILL,
            "list": _alias(PS),
            "logs": LOGS,
            "ls": PS,
            "pause": PAUSE,
            "port": PORT,
            "prune": PRUNE_CONTAINERS,
            "ps": _alias(PS),
            "remove": _alias(RM),
            "rename": RENAME,
            "restart": RESTART,
            "rm": RM,
            "run": RUN,
            "start": START,
            "stats": STATS,
            "stop": STOP,
            "top": TOP,
            "unpause": UNPAUSE,
            "update": UPDATE,
            "wait": WAIT,
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
        {
            "df": SYSTEM_DF,
            "events": EVENTS,
            "fsck": FSCK,
            "info": INFO,
            "prune": SYSTEM_PRUNE,
            "restore": SYSTEM_RESTORE,
            "service": SYSTEM_SERVICE,
        },
    ),
}

VERBS: Mapping[str, Verb] = {
    "attach": ATTACH,
    "build": BUILD,
    "bundle": BUNDLE,
    "cat": CAT,
    "commit": COMMIT,
    "completion": COMPLETION,
    "copy": COPY,
    "cp": CP,
    "create": CREATE,
    "diff": DIFF,
    "events": EVENTS,
    "exec": EXEC,
    "explore": EXPLORE,
    "export": EXPORT,
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
    "port": PORT,
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
    "stats": STATS,
    "stop": STOP,
    "tag": TAG,
    "top": TOP,
    "umount": UMOUNT,
    "unmount": _alias(UMOUNT),
    "unpause": UNPAUSE,
    "update": UPDATE,
    "version": VERSION,
    "wait": WAIT,
}
