"""`layerstore.layer.diff` reads from an upper directory what overlayfs, docker and the OCI mean by a change."""

import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.namespaces import in_mount_namespace
from fixtures.torture import MOMENT, make_torture
from fixtures.trees import Facts, differences, tree_facts
from layerstore.errors import Conflict, LimitExceeded, UnsupportedContent
from layerstore.layer.apply import apply_tree
from layerstore.layer.changeset import read_changes
from layerstore.layer.diff import Change, diff, members
from layerstore.layer.entry import Kind
from layerstore.layer.ownership import Ownership
from layerstore.layer.pack import pack
from layerstore.layer.source import TarFile
from layerstore.layer.tar import read_entries
from layerstore.layer.tree import Tree
from layerstore.mount import Directory, MountStack
from layerstore.snapshot.overlay import attach, detach

Body = Callable[[Path], None]


class Snapshot:
    """A lower directory, and the upper directory of an overlay on it."""

    def __init__(self, root: Path, *, userxattr: bool = False) -> None:
        self.root, self.userxattr = root, userxattr
        self.lower, self.upper = root / "lower", root / "upper"
        for name in ("lower", "upper", "work", "merged"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def change(self, body: Body) -> dict[str, Facts]:
        """Let `body` change the mounted overlay; what is then seen in it."""
        stack = MountStack(
            (Directory(str(self.lower)),), str(self.upper), str(self.root / "work"), userxattr=self.userxattr
        )
        shutil.copystat(self.lower, self.upper)
        owner = self.lower.stat()
        os.chown(self.upper, owner.st_uid, owner.st_gid)

        def at_mount(action: Body) -> None:
            attach(stack, str(self.root / "merged"))
            try:
                action(self.root / "merged")
            finally:
                detach(str(self.root / "merged"))

        def inside() -> None:
            at_mount(body)
            # Seen anew: where overlayfs could not note a file's origin, it keeps showing the old inode number
            # until it forgets it.
            at_mount(self._write_facts)

        in_mount_namespace(inside)
        facts: dict[str, Facts] = pickle.loads((self.root / "facts").read_bytes())
        # A layer says nothing of the root's time where that is all that changed.
        return facts if self.is_root_changed() else {**facts, ".": tree_facts(self.lower)["."]}

    def _write_facts(self, merged: Path) -> None:
        (self.root / "facts").write_bytes(pickle.dumps(tree_facts(merged)))

    def is_root_changed(self) -> bool:
        return self.changes()[:1] != [] and self.changes()[0].entry.path == b""

    def changes(self) -> list[Change]:
        return collect(self.upper, self.lower, userxattr=self.userxattr)

    def listing(self) -> list[str]:
        return listing(self.changes())

    def rebuilt(self) -> dict[str, Facts]:
        """What the packed lower and the packed changes give when they are read and applied as layers."""
        tree, tars = Tree(), []
        for upper, lower in ((self.lower, None), (self.upper, self.lower)):
            tars.append(os.memfd_create("layer"))
            fds = [os.open(path, os.O_RDONLY) for path in (upper, lower) if path is not None]
            changes = diff(fds[0], fds[1] if lower else None, userxattr=self.userxattr)
            with open(tars[-1], "wb", closefd=False) as stream:
                pack(members(changes), stream.write)
            tree.apply(read_changes(read_entries(TarFile(tars[-1]))))
            for fd in fds:
                os.close(fd)
        target = self.root / "rebuilt"
        target.mkdir()
        fd = os.open(target, os.O_RDONLY)
        apply_tree(tree.root, tars, fd, ownership=Ownership.EXACT)
        for each in (fd, *tars):
            os.close(each)
        return tree_facts(target)


def collect(upper: Path, lower: Path | None, *, userxattr: bool = False) -> list[Change]:
    fds = [os.open(path, os.O_RDONLY) for path in (upper, lower) if path is not None]
    try:
        return list(diff(fds[0], fds[1] if lower else None, userxattr=userxattr))
    finally:
        for fd in fds:
            os.close(fd)


def listing(changes: list[Change]) -> list[str]:
    """As ``docker diff`` prints them: without the root."""
    return [f"{each.kind.value} /{os.fsdecode(each.entry.path)}" for each in changes if each.entry.path]


@pytest.fixture(params=[False, True], ids=["trusted", "user"])
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshot:
    """A snapshot on a small tree, with either kind of marks."""
    made = Snapshot(tmp_path, userxattr=request.param)
    for name in ("etc/hosts", "etc/motd", "usr/bin/tool", "usr/share/doc", "old/a", "old/b/c"):
        (made.lower / name).parent.mkdir(parents=True, exist_ok=True)
        (made.lower / name).write_text(name)
    return made


@pytest.mark.root
def test_each_change_is_named_as_docker_names_it(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        (root / "etc" / "hosts").write_text("changed")
        (root / "etc" / "motd").unlink()
        (root / "etc" / "new").write_text("new")
        (root / "usr" / "share" / "doc").chmod(0o600)
        shutil.rmtree(root / "old")
        (root / "srv" / "www").mkdir(parents=True)

    snapshot.change(body)

    assert snapshot.listing() == [
        "C /etc",
        "C /etc/hosts",
        "D /etc/motd",
        "A /etc/new",
        "D /old",
        "A /srv",
        "A /srv/www",
        "C /usr",
        "C /usr/share",
        "C /usr/share/doc",
    ]


@pytest.mark.root
def test_a_directory_made_anew_hides_by_single_whiteouts_what_it_lost(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        shutil.rmtree(root / "old")
        (root / "old" / "b").mkdir(parents=True)
        (root / "old" / "d").mkdir()

    facts = snapshot.change(body)

    assert snapshot.listing() == ["C /old", "D /old/a", "C /old/b", "D /old/b/c", "A /old/d"]
    assert differences(snapshot.rebuilt(), facts) == {}


@pytest.mark.root
def test_a_file_opened_for_writing_but_left_as_it_was_is_no_change(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        before = os.stat(root / "etc" / "hosts")
        with (root / "etc" / "hosts").open("r+"):
            pass
        os.chown(root / "etc" / "hosts", 5, 5)
        os.chown(root / "etc" / "hosts", before.st_uid, before.st_gid)

    snapshot.change(body)

    assert (snapshot.upper / "etc" / "hosts").exists()
    assert snapshot.listing() == ["C /etc"]


@pytest.mark.root
def test_other_content_under_the_old_size_and_time_is_a_change(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        file = root / "etc" / "hosts"
        before = os.stat(file)
        file.write_text("x" * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    snapshot.change(body)

    assert "C /etc/hosts" in snapshot.listing()


@pytest.mark.root
def test_files_and_directories_that_take_each_others_place_need_no_whiteout(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        shutil.rmtree(root / "old")
        (root / "old").write_text("a file now")
        (root / "etc" / "hosts").unlink()
        (root / "etc" / "hosts").mkdir()
        (root / "etc" / "hosts" / "inside").write_text("")
        (root / "usr" / "share" / "doc").unlink()
        (root / "usr" / "share" / "doc").symlink_to("/etc")

    facts = snapshot.change(body)

    assert not [line for line in snapshot.listing() if line.startswith("D")]
    assert differences(snapshot.rebuilt(), facts) == {}


@pytest.mark.root
def test_a_renamed_directory_is_a_removal_and_a_copy(snapshot: Snapshot) -> None:
    facts = snapshot.change(lambda root: shutil.move(root / "old", root / "renamed"))

    assert snapshot.listing() == [
        "D /old",
        "A /renamed",
        "A /renamed/a",
        "A /renamed/b",
        "A /renamed/b/c",
    ]
    assert differences(snapshot.rebuilt(), facts) == {}


@pytest.mark.root
def test_names_of_one_file_stay_names_of_one_file(snapshot: Snapshot) -> None:
    def body(root: Path) -> None:
        (root / "z").write_text("shared")
        os.link(root / "z", root / "etc" / "y")
        os.link(root / "z", root / "a")

    facts = snapshot.change(body)

    links = {
        each.entry.path: each.entry.link for each in snapshot.changes() if each.entry.kind is Kind.HARDLINK
    }
    assert links == {b"etc/y": b"a", b"z": b"a"}
    assert differences(snapshot.rebuilt(), facts) == {}


@pytest.mark.root
def test_one_of_everything_survives_as_two_layers(tmp_path: Path) -> None:
    snapshot = Snapshot(tmp_path)
    snapshot.lower.rmdir()
    make_torture(snapshot.lower)

    def body(root: Path) -> None:
        shutil.rmtree(root / "links")
        make_torture(root / "again")
        (root / "setuid").unlink()
        (root / "plain").write_text("changed")
        os.setxattr(root / "vacant", "user.added", b"1")
        os.removexattr(root / "setboth", "security.capability")
        os.chown(root / "shared", 3, 3)
        (root / "dev" / "null").unlink()
        os.utime(root / "home", ns=(MOMENT, MOMENT))
        os.chown(root, 1, 2)

    facts = snapshot.change(body)

    assert differences(snapshot.rebuilt(), facts) == {}


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "new", "new/a"])
STEPS = st.tuples(
    st.sampled_from(["write", "mkdir", "remove", "rename", "link", "symlink", "chmod"]), NAMES, NAMES
)


def perform(root: Path, step: str, one: Path, other: Path) -> None:
    if step == "write":
        one.write_text(other.name)
    elif step == "mkdir":
        one.mkdir()
    elif step == "remove":
        shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
    elif step == "rename":
        shutil.move(one, other)
    elif step == "link":
        os.link(one, other, follow_symlinks=False)
    elif step == "symlink":
        one.symlink_to(other.name)
    else:
        one.chmod(0o700 if one.name == "a" else 0o751)


@pytest.mark.root
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.lists(STEPS, max_size=8), after=st.lists(STEPS, max_size=12), userxattr=st.booleans())
def test_any_history_of_a_snapshot_survives_as_two_layers(
    before: list[tuple[str, str, str]],
    after: list[tuple[str, str, str]],
    userxattr: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    snapshot = Snapshot(tmp_path_factory.mktemp("history"), userxattr=userxattr)

    def body(root: Path, steps: list[tuple[str, str, str]]) -> None:
        for step, one, other in steps:
            try:
                perform(root, step, root / one, root / other)
            except (OSError, shutil.Error):
                continue  # a step that does not apply to what is there

    body(snapshot.lower, before)

    facts = snapshot.change(lambda root: body(root, after))

    assert differences(snapshot.rebuilt(), facts) == {}


@pytest.mark.root
def test_the_root_is_a_change_where_more_than_its_time_is_another(snapshot: Snapshot) -> None:
    snapshot.change(lambda root: (root / "new").touch())
    untouched = snapshot.is_root_changed()

    facts = snapshot.change(lambda root: root.chmod(0o700))

    assert not untouched
    assert snapshot.is_root_changed()
    assert differences(snapshot.rebuilt(), facts) == {}


def test_everything_is_new_where_nothing_is_below(tmp_path: Path) -> None:
    (tmp_path / "upper" / "d").mkdir(parents=True)
    (tmp_path / "upper" / "d" / "f").touch()

    changes = collect(tmp_path / "upper", None)

    assert listing(changes) == ["A /d", "A /d/f"]
    assert changes[0].entry.path == b""


def test_whiteouts_of_nothing_say_nothing(tmp_path: Path) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
    (tmp_path / "upper" / "gone").touch()
    os.setxattr(tmp_path / "upper" / "gone", "user.overlay.whiteout", b"")

    assert listing(collect(tmp_path / "upper", tmp_path / "lower", userxattr=True)) == []


def test_a_whiteout_may_be_an_attribute(tmp_path: Path) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gone").touch()
    os.setxattr(tmp_path / "upper" / "gone", "user.overlay.whiteout", b"")

    assert listing(collect(tmp_path / "upper", tmp_path / "lower", userxattr=True)) == ["D /gone"]


@pytest.mark.root
def test_a_mark_of_the_other_kind_is_content_and_is_not_passed_on(tmp_path: Path) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name / "d").mkdir(parents=True)
    (tmp_path / "lower" / "d" / "kept").touch()
    os.setxattr(tmp_path / "upper" / "d", "user.overlay.opaque", b"y")
    os.setxattr(tmp_path / "upper" / "d", "user.mine", b"1")

    changes = collect(tmp_path / "upper", tmp_path / "lower")

    assert listing(changes) == ["C /d"]
    assert changes[-1].entry.xattrs == {b"user.mine": b"1"}


@pytest.mark.parametrize("mark", ["user.overlay.redirect", "user.overlay.metacopy"])
def test_what_overlayfs_keeps_elsewhere_is_refused(mark: str, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    os.setxattr(tmp_path / "moved", mark, b"/elsewhere")

    with pytest.raises(UnsupportedContent, match="cannot make a layer with 'moved'"):
        collect(tmp_path, None, userxattr=True)


def test_a_name_that_would_be_a_whiteout_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".wh.etc").touch()

    with pytest.raises(UnsupportedContent, match=r"'\.wh\.etc'"):
        collect(tmp_path, None)


def test_a_socket_is_left_out_and_hides_what_it_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower" / "replaced").touch()
    monkeypatch.chdir(tmp_path / "upper")
    for name in ("replaced", "new"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)

    assert listing(collect(tmp_path / "upper", tmp_path / "lower")) == ["D /replaced"]


def test_paths_that_no_layer_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)

    with pytest.raises(LimitExceeded, match="longer than 4095"):
        collect(tmp_path, None)


def test_a_file_that_changed_since_it_was_seen_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("seen")
    upper = os.open(tmp_path, os.O_RDONLY)
    changes = diff(upper, None)
    next(changes)
    change = next(changes)
    (tmp_path / "f").write_text("changed")

    with pytest.raises(Conflict, match="cannot read 'f': it changed meanwhile"):
        change.open()
    (member,) = members([change], is_live=True)
    assert (member.entry.size, member.entry.mtime * 10**9 + member.entry.nsec) == (
        7,
        (tmp_path / "f").stat().st_mtime_ns,
    )

    changes.close()
    os.close(upper)


def test_no_descriptor_stays_open_when_reading_breaks_off(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    upper = os.open(tmp_path, os.O_RDONLY)
    before = os.listdir("/proc/self/fd")

    changes = diff(upper, upper)
    next(changes)
    changes.close()

    assert os.listdir("/proc/self/fd") == before
    os.close(upper)
