"""``--cgroup-parent``: in which group a container's own one is, as the kernel and other processes see it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.errors import MissingFeature
from runner.cgroups import Group, parents
from runner.cgroups.host import Host, this_host, tops

pytestmark = pytest.mark.root


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lstore", "--root", str(root), *arguments]


def call(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(root, *arguments),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it."""
    root = tmp_path_factory.mktemp("parents") / "store"
    call(root, "load", "-q", "-i", str(busybox_layout)).check_returncode()
    return root


def places_called(name: str) -> list[Path]:
    """Where the kernel has a group of that name, outer ones first."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    points = [Path(row[1]) for row in rows if row[2] in ("cgroup", "cgroup2")]
    return [path for point in points for path in sorted(point.glob(f"**/{name}"))]


@pytest.fixture
def parent() -> Iterator[str]:
    """A name that no group has; all groups of that name go afterwards."""
    name = f"lstore-test-{os.urandom(4).hex()}"
    yield name
    for place in places_called(name):
        Group(1, ((name, str(place)),)).remove()


def groups_of(pid: int) -> dict[str, str]:
    """The path of the process's group by controllers, as the host's kernel has it."""
    rows = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {controllers: path for _, controllers, path in rows}


def running(store: Path, *flags: str) -> tuple[str, int]:
    """Id and first process of a container that runs."""
    started = call(store, "run", "-d", *flags, "busybox", "sleep", "1000")
    assert (started.returncode, started.stderr) == (0, ""), started
    identifier = started.stdout.strip()
    return identifier, int(call(store, "inspect", "--format", "{{.State.Pid}}", identifier).stdout)


def main_group(groups: dict[str, str]) -> str:
    return groups["pids"] if "pids" in groups else groups[""]


def test_an_absolute_parent_counts_from_the_top_and_stays(store: Path, parent: str) -> None:
    identifier, pid = running(store, "--cgroup-parent", f"/{parent}/inner")

    groups = groups_of(pid)
    shown = call(store, "inspect", "--format", "{{.HostConfig.CgroupParent}}", identifier).stdout
    call(store, "rm", "-f", identifier).check_returncode()

    assert main_group(groups).startswith(f"/{parent}/inner/lstore-{identifier[:12]}-")
    of_it = {path for path in groups.values() if parent in path}
    assert len(of_it) == 1
    assert shown == f"/{parent}/inner\n"
    left = places_called(parent)
    assert left
    assert [path for place in left for path in (place / "inner").iterdir() if path.is_dir()] == []


def test_a_relative_parent_counts_from_our_own_group(store: Path, parent: str) -> None:
    own = groups_of(os.getpid())

    identifier, pid = running(store, "--cgroup-parent", parent)
    found = groups_of(pid)
    call(store, "rm", "-f", identifier).check_returncode()

    inside = {name: path for name, path in found.items() if parent in path}
    assert inside
    for name, path in inside.items():
        assert path.rpartition("/")[0] == f"{own[name].rstrip('/')}/{parent}"


def test_the_parent_s_limit_holds_for_the_container(store: Path, parent: str) -> None:
    top = tops().get("pids")
    if top is None:
        pytest.skip("no hierarchy of version 1 with pids")
    (Path(top) / parent).mkdir()
    (Path(top) / parent / "pids.max").write_text("4")
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 10 & done; echo all"

    free = call(store, "run", "--rm", "busybox", "sh", "-c", script)
    bound = call(store, "run", "--rm", "--cgroup-parent", f"/{parent}", "busybox", "sh", "-c", script)

    assert free.stdout == "all\n"
    assert (bound.stdout, "can't fork" in bound.stderr) == ("", True), bound
    assert (Path(top) / parent / "pids.max").read_text() == "4\n"


def test_a_parent_that_was_made_without_processors_gets_them_and_keeps_its_own(
    store: Path, parent: str
) -> None:
    top = tops().get("cpuset")
    if top is None:
        pytest.skip("no hierarchy of version 1 with cpuset")
    place = Path(top) / parent
    place.mkdir()
    show = "grep Cpus_allowed_list /proc/self/status"

    empty = call(store, "run", "--rm", "--cgroup-parent", f"/{parent}", "busybox", "sh", "-c", show)
    filled = (place / "cpuset.cpus").read_text()
    (place / "cpuset.cpus").write_text("0")
    kept = call(store, "run", "--rm", "--cgroup-parent", f"/{parent}", "busybox", "sh", "-c", show)

    assert (empty.returncode, filled) == (0, (Path(top) / "cpuset.cpus").read_text())
    assert kept.stdout.split() == ["Cpus_allowed_list:", "0"]


def test_containers_that_start_at_once_may_make_one_parent(store: Path, parent: str) -> None:
    words = command(store, "run", "--rm", "--cgroup-parent", f"/{parent}/inner", "busybox", "true")

    under_way = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(8)]
    ends = [(each.communicate(timeout=60)[1], each.returncode) for each in under_way]

    assert ends == [(b"", 0)] * 8


def test_two_containers_share_a_parent_and_each_takes_only_its_own(store: Path, parent: str) -> None:
    first, _ = running(store, "--cgroup-parent", f"/{parent}")
    second, pid = running(store, "--cgroup-parent", f"/{parent}")

    call(store, "rm", "-f", first).check_returncode()
    is_alive = call(store, "exec", second, "echo", "here")
    groups = groups_of(pid)
    call(store, "rm", "-f", second).check_returncode()

    assert is_alive.stdout == "here\n"
    assert main_group(groups).startswith(f"/{parent}/lstore-{second[:12]}-")


def test_with_version_2_alone_it_is_the_same(store: Path, parent: str) -> None:
    """A mount namespace in which version 1 is not mounted is a host of version 2."""
    if "" not in tops():
        pytest.skip("no hierarchy of version 2")
    name = f"two-{os.urandom(4).hex()}"
    lstore = f"{sys.executable} -m lstore --root {store}"
    script = (
        "umount -l /sys/fs/cgroup; mkdir -p /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup;"
        f"{lstore} run -d --name {name} --cgroup-parent /{parent}/inner busybox sleep 1000 > /dev/null;"
        f"cat /proc/$({lstore} inspect --format '{{{{.State.Pid}}}}' {name})/cgroup;"
        f"{lstore} rm -f {name}; ls -d /sys/fs/cgroup/{parent}/inner/*/ 2>&1"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    unified = next(line for line in done.stdout.splitlines() if line.startswith("0::"))
    assert unified.startswith(f"0::/{parent}/inner/lstore-"), done
    assert "No such file" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("text", ["../x", "/a/../../b", "a//b", "/", ".", "a\nb"])
def test_what_is_no_group_s_path_is_refused(store: Path, text: str) -> None:
    done = call(store, "run", "--rm", "--cgroup-parent", text, "busybox", "true")

    assert (done.returncode, "it is no path of a group" in done.stderr) == (125, True), done


def test_a_tree_that_is_systemd_s_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parent: str
) -> None:
    top = tops().get("")
    if top is None:
        pytest.skip("no hierarchy of version 2")
    monkeypatch.setattr("runner.cgroups.systemd.RUNNING", str(tmp_path))
    wanted = parents.Parent.parse(f"/{parent}/inner")
    host = Host(2, (), top)

    with pytest.raises(MissingFeature, match="systemd has not left it to us"):
        parents.enclose2(host, wanted, lambda _: None)

    assert places_called(parent) == []
    (Path(top) / parent).mkdir()
    os.setxattr(Path(top) / parent, "trusted.delegate", b"1")
    assert parents.enclose2(host, wanted, lambda _: None).unified == f"{top}/{parent}/inner"


def test_another_user_may_make_no_group_there(store: Path, parent: str) -> None:
    if this_host().version != 1:
        pytest.skip("looks at version 1")
    script = (
        "import os\nfrom runner import cgroups\nfrom runner.cgroups import parents\n"
        "from runner.limits import Limits\nos.setgid(65534); os.setuid(65534)\n"
        f"cgroups.create('x', Limits(parent='/{parent}'), '/tmp')"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert "MissingFeature: cannot make the control group" in done.stderr
    assert places_called(parent) == []


@pytest.mark.package("runc")
def test_a_bundle_s_container_is_made_there_by_runc(store: Path, tmp_path: Path, parent: str) -> None:
    bundle = tmp_path / "bundle"
    call(
        store, "bundle", "--cgroup-parent", f"/{parent}", "--cgroupns", "host", "busybox", str(bundle),
        "cat", "/proc/self/cgroup",
    ).check_returncode()  # fmt: skip

    config = json.loads((bundle / "config.json").read_text())
    run = ["runc", "run", "--bundle", str(bundle), f"lstore-test-{os.urandom(4).hex()}"]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout

    assert config["linux"]["cgroupsPath"].startswith(f"/{parent}/lstore-")
    assert f":{config['linux']['cgroupsPath']}\n" in printed
