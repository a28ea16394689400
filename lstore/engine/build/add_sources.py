"""What one COPY or ADD takes: paths of a context, and for ADD downloads, git repositories and archives."""

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING

from layerstore.build.context import Context
from layerstore.build.instruction import Add, Copy
from layerstore.build.selection import Selection, select
from layerstore.build.source_kind import SourceKind, source_kind, url_file_name
from layerstore.dataclass import dataclass
from layerstore.oci.digest import Digest
from lstore.engine.build.local import LocalContext

if TYPE_CHECKING:
    from layerstore.build.transfer import Destination, LayerPlan
    from lstore.engine.build.remote import Checkout

OpenLocal = Callable[[str], LocalContext]
"""Opens a directory of ours as a context, until the build ends."""
Scratch = Callable[[], str]
"""Makes an empty directory that goes with the build."""


@dataclass(frozen=True)
class Remote:
    """One download or repository."""

    url: str
    kind: SourceKind
    instruction: Add
    scratch: Scratch
    open_local: OpenLocal

    def key(self) -> Digest:
        """The checksum that was given, else the content key of what is there now.

        What git keeps for itself is told by the commit: its files hold times and are never twice the same.
        """
        if self.kind is SourceKind.GIT:
            if self.instruction.keep_git_dir:
                return Digest.of(f"git {self._checkout.commit}".encode())
        elif self.instruction.checksum:
            return Digest.parse(self.instruction.checksum)
        return self.context.key(self.selections)

    @cached_property
    def _checkout(self) -> "Checkout":
        from lstore.engine.build.remote import check_out

        add = self.instruction
        return check_out(self.url, self.scratch(), keeps_git=add.keep_git_dir, commit=add.checksum)

    @cached_property
    def context(self) -> LocalContext:
        """The directory that holds it, fetched when it is first asked for. Raises as `download` does."""
        if self.kind is SourceKind.GIT:
            return self.open_local(self._checkout.path)
        from lstore.engine.build.remote import download

        directory, checksum = self.scratch(), self.instruction.checksum
        download(self.url, directory, Digest.parse(checksum) if checksum else None)
        return self.open_local(directory)

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        """What of the directory is meant. Raises as `select` does."""
        source = "." if self.kind is SourceKind.GIT else url_file_name(self.url)
        return select(self.context.context, (source,), exclude=self.instruction.exclude)


@dataclass(frozen=True, slots=True)
class Additions:
    """The sources of one COPY or ADD, sorted by kind."""

    paths: tuple[str, ...]
    remotes: tuple[Remote, ...]
    unpacks_paths: bool
    unpacks_remotes: bool

    @classmethod
    def of(cls, instruction: Copy | Add, scratch: Scratch, open_local: OpenLocal) -> "Additions":
        """The sources of `instruction`."""
        if isinstance(instruction, Copy):
            return cls(instruction.sources, (), unpacks_paths=False, unpacks_remotes=False)
        kinds = [(source, source_kind(source)) for source in instruction.sources]
        remotes = tuple(
            Remote(source, kind, instruction, scratch, open_local)
            for source, kind in kinds
            if kind is not SourceKind.PATH
        )
        paths = tuple(source for source, kind in kinds if kind is SourceKind.PATH)
        return cls(
            paths,
            remotes,
            unpacks_paths=instruction.unpack is not False,
            unpacks_remotes=instruction.unpack is True,
        )

    def keys(self) -> tuple[Digest, ...]:
        """What a key says of what is fetched."""
        return tuple(remote.key() for remote in self.remotes)

    def place(
        self,
        plan: "LayerPlan",
        local: tuple[Context, tuple[Selection, ...]] | None,
        to: "Destination",
        scratch: str,
        opened: ExitStack,
    ) -> None:
        """Place all of them; archives are open until `opened` closes. Raises what `LayerPlan` does."""
        if local is not None:
            _place(plan, *local, to, scratch, opened, unpacks=self.unpacks_paths)
        for remote in self.remotes:
            _place(
                plan,
                remote.context.context,
                remote.selections,
                to,
                scratch,
                opened,
                unpacks=self.unpacks_remotes and remote.kind is SourceKind.URL,
            )


def _place(
    plan: "LayerPlan",
    context: Context,
    selections: tuple[Selection, ...],
    to: "Destination",
    scratch: str,
    opened: ExitStack,
    *,
    unpacks: bool,
) -> None:
    from layerstore.layer.source import TarFile
    from layerstore.layer.tar import read_entries

    plain = []
    for selection in selections:
        tar = _archive(context, selection, scratch, opened) if unpacks else None
        if tar is None:
            plain.append(selection)
        else:
            plan.unpack(read_entries(TarFile(tar)), partial(_pread, tar), to)
    plan.copy(context, tuple(plain), to)


def _archive(context: Context, selection: Selection, scratch: str, opened: ExitStack) -> int | None:
    if (
        selection.is_directory
        or len(selection.items) != 1
        or not stat.S_ISREG(selection.items[0].found.status.st_mode)
    ):
        return None
    from lstore.engine.build.archives import opened_archive

    fd = context.open(selection.items[0].found)
    opened.callback(os.close, fd)
    return opened.enter_context(opened_archive(fd, scratch))


def _pread(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)
