"""Docker's flags of `run`, each by what it does inside the container or by the kernel's own files."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

DEFAULT_CAPABILITIES = 0xA80425FB
CAP_NET_RAW, CAP_NET_ADMIN, CAP_CHOWN = 1 << 13, 1 << 12, 1 << 0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it."""
    root = tmp_path_factory.mktemp("flags") / "store"
    call(root, "load", "-q", "-i", str(busybox_layout)).check_returncode()
    return root


def call(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lstore", "--root", str(root), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


def sh(store: Path, flags: list[str], script: str) -> str:
    """What `script` prints in a container with `flags`, which must end well."""
    done = call(store, "run", "--rm", *flags, "busybox", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refused(store: Path, *flags: str) -> str:
    """The error of a container with `flags`, which must not start."""
    done = call(store, "run", "--rm", *flags, "busybox", "true")
    assert (done.returncode, done.stdout) == (125, ""), done
    return done.stderr


@pytest.fixture
def running(store: Path) -> Iterator[str]:
    """The name of a container that runs."""
    name = f"other-{os.urandom(4).hex()}"
    script = "touch /dev/shm/mine; while :; do sleep 0.1; done"
    call(
        store, "run", "-d", "--name", name, "--hostname", "others", "busybox", "sh", "-c", script
    ).check_returncode()
    yield name
    call(store, "rm", "-f", name).check_returncode()


def test_limits_are_in_the_kernel_s_files(store: Path) -> None:
    flags = [
        "-m",
        "64m",
        "--memory-swap",
        "96m",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--pids-limit",
        "20",
    ]
    v1 = "memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us"
    v1 += " cpu/cpu.shares pids/pids.max"
    v2 = "memory.max memory.swap.max cpu.max cpu.weight pids.max"

    output = sh(store, flags, f"cd /sys/fs/cgroup; test -e memory.max && cat {v2} || cat {v1}")

    assert output.split() in (
        ["67108864", "100663296", "50000", "512", "20"],
        ["67108864", "33554432", "50000", "100000", "20", "20"],
    )


def test_a_quota_and_its_period_are_in_the_kernel_s_files_and_in_inspect(store: Path) -> None:
    flags = ["--cpu-quota", "20000", "--cpu-period", "50000"]
    script = "cd /sys/fs/cgroup; cat cpu.max 2> /dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
    form = "{{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.NanoCpus}}"

    assert sh(store, flags, script).split() == ["20000", "50000"]

    made = call(store, "create", *flags, "busybox", "true").stdout.strip()
    shown = call(store, "inspect", "--format", form, made).stdout
    call(store, "rm", made).check_returncode()
    assert shown == "20000 50000 0\n"


def test_a_reservation_of_memory_is_in_the_kernel_s_files(store: Path) -> None:
    script = "cd /sys/fs/cgroup; cat memory.low 2> /dev/null || cat memory/memory.soft_limit_in_bytes"

    assert sh(store, ["--memory-reservation", "32m"], script).split() == ["33554432"]


def test_a_weight_of_block_io_is_in_the_kernel_s_files_or_refused(store: Path) -> None:
    script = "cd /sys/fs/cgroup; cat io.weight io.bfq.weight blkio/blkio.weight blkio/blkio.bfq.weight 2> /dev/null"

    done = call(store, "run", "--rm", "--blkio-weight", "300", "busybox", "sh", "-c", f"{script}; true")

    if done.returncode:
        assert (done.returncode, "cannot weigh block i/o" in done.stderr) == (125, True), done
    else:
        assert {"300", "2930"} & set(done.stdout.split())


def test_processors_and_the_oom_score_show_in_proc(store: Path) -> None:
    flags = ["--cpuset-cpus", "0", "--oom-score-adj", "500"]

    output = sh(store, flags, "grep Cpus_allowed_list /proc/self/status; cat /proc/self/oom_score_adj")

    assert output.split() == ["Cpus_allowed_list:", "0", "500"]


def test_resource_limits_hold_for_every_process(store: Path) -> None:
    output = sh(
        store,
        ["--ulimit", "nofile=100:200", "--ulimit", "core=0", "-u", "1000"],
        "ulimit -n; ulimit -Hn; ulimit -c",
    )

    assert output.split() == ["100", "200", "0"]


def test_settings_of_the_container_s_own_namespaces(store: Path) -> None:
    before = Path("/proc/sys/kernel/shmmax").read_text()
    flags = [
        "--sysctl",
        "kernel.shmmax=65536",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--domainname",
        "example",
    ]

    output = sh(store, flags, "cd /proc/sys; cat kernel/shmmax net/ipv4/ip_forward kernel/domainname")

    assert output.split() == ["65536", "1", "example"]
    assert Path("/proc/sys/kernel/shmmax").read_text() == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--sysctl", "kernel.core_pattern=x"],
        ["--sysctl", "kernel.shmmax=65536", "--ipc", "host"],
        ["--sysctl", "net.ipv4.ip_forward=1", "--network", "host"],
        ["--sysctl", "net.ipv4/../../kernel/core_pattern=x"],
        ["--sysctl", "net"],
        ["--domainname", "x", "--uts", "host"],
    ],
)
def test_settings_of_the_host_are_refused(store: Path, flags: list[str]) -> None:
    assert "sysctl" in (error := refused(store, *flags)) or "cannot set" in error


def test_a_device_has_its_place_and_works(store: Path) -> None:
    flags = ["--device", "/dev/zero:/dev/my/zeros", "--device", "/dev/null:/dev/nothing:rw"]

    output = sh(
        store, flags, "head -c 3 /dev/my/zeros | wc -c; echo x > /dev/nothing; stat -c %t:%T /dev/my/zeros"
    )

    assert output.split() == ["3", "1:5"]


def test_a_device_that_is_none_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "there is none" in refused(store, "--device", "/dev/no-such-device")
    assert "it is no device" in refused(store, "--device", str(tmp_path / "file"))
    assert "permissions" in refused(store, "--device", "/dev/null:/dev/x:q")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cap-drop", "net_raw"], DEFAULT_CAPABILITIES & ~CAP_NET_RAW),
        (["--cap-add", "CAP_NET_ADMIN"], DEFAULT_CAPABILITIES | CAP_NET_ADMIN),
        (["--cap-drop", "ALL"], 0),
        (["--cap-drop", "all", "--cap-add", "chown"], CAP_CHOWN),
    ],
)
def test_capabilities_are_added_and_dropped(store: Path, flags: list[str], expected: int) -> None:
    lines = sh(store, flags, "grep -E '^Cap(Eff|Bnd|Inh)' /proc/self/status").splitlines()

    found = {name: int(value, 16) for name, value in (line.split(":") for line in lines)}
    assert found == {"CapInh": 0, "CapEff": expected, "CapBnd": expected}


def test_security_options(store: Path) -> None:
    script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; grep -c ' /proc/[a-z]' /proc/self/mountinfo; true"

    usual = sh(store, [], script).split()
    strict = sh(store, ["--security-opt", "no-new-privileges"], script).split()
    open_ = sh(
        store, ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"], script
    ).split()

    assert usual[:4] == ["NoNewPrivs:", "0", "Seccomp:", "2"]
    assert strict == ["NoNewPrivs:", "1", *usual[2:]]
    assert open_ == ["NoNewPrivs:", "0", "Seccomp:", "0", "0"]
    assert int(usual[4]) > 5  # what is masked or read-only


def test_a_profile_of_the_user_s_own_decides_about_calls_and_arguments(store: Path, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
            {
                "names": ["kill"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
            },
            {
                "names": ["chmod", "fchmodat"],
                "action": "SCMP_ACT_ERRNO",
                "includes": {"caps": ["CAP_SYS_ADMIN"]},
            },
        ],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    script = (
        "mkdir /x; kill -USR1 $$ || echo denied; kill -0 $$ && echo allowed; chmod 600 /etc && echo changed"
    )

    done = call(store, "run", "--rm", "--security-opt", f"seccomp={path}", "busybox", "sh", "-c", script)

    assert done.stdout.split() == ["denied", "allowed", "changed"]
    assert "Input/output error" in done.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seccomp=/no/such/file", "cannot read the seccomp profile"),
        ("apparmor=mine", "no apparmor support"),
        ("label=type:x", "no label support"),
        ("nonsense", "invalid security option"),
    ],
)
def test_security_options_that_we_cannot_keep_are_refused(store: Path, option: str, message: str) -> None:
    assert message in refused(store, "--security-opt", option)


def test_a_privileged_container_has_everything(store: Path) -> None:
    script = (
        "grep -E '^(CapEff|Seccomp):' /proc/self/status; test -w /proc/sys/kernel/core_pattern && echo writable;"
        "mknod /n c 1 3 && echo x > /n && echo node; mount -t tmpfs t /tmp && echo mounted; ls /dev | wc -l;"
        "d=/sys/fs/cgroup; test -d $d/freezer && d=$d/freezer; mkdir $d/mine && rmdir $d/mine && echo group"
    )

    usual = int(sh(store, [], "ls /dev | wc -l"))
    words = sh(store, ["--privileged"], script).split()

    own = int(
        next(
            line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line
        ),
        16,
    )
    assert int(words[1], 16) == own
    assert words[2:7] == ["Seccomp:", "0", "writable", "node", "mounted"]
    assert int(words[7]) > usual
    assert words[8] == "group"


def test_a_tmpfs_has_its_options_and_safe_flags(store: Path) -> None:
    flags = [
        "--tmpfs",
        "/a:size=1m,mode=700,exec",
        "--tmpfs",
        "/b",
        "--mount",
        "type=tmpfs,dst=/c,tmpfs-size=2m,readonly",
    ]

    lines = sh(store, flags, "grep -E ' /[abc] ' /proc/self/mountinfo; stat -c %a /a /b").splitlines()

    rows = [line.split() for line in lines[:3]]
    options = {row[4]: set(row[5].split(",")) | set(row[-1].split(",")) for row in rows}
    assert {"size=1024k", "nosuid", "nodev"} <= options["/a"]
    assert "noexec" not in options["/a"]
    assert {"nosuid", "nodev", "noexec"} <= options["/b"]
    assert {"size=2048k", "ro"} <= options["/c"]
    assert lines[3:] == ["700", "1777"]


def test_bound_directories_are_shared_as_asked(store: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "note").write_text("note\n")
    flags = ["-v", f"{tmp_path}/a:/a", "-v", f"{tmp_path}/a:/b:ro,z", "-v", f"{tmp_path}/new:/new"]
    flags += ["--mount", f"type=bind,src={tmp_path}/a/note,dst=/file,readonly"]

    output = sh(
        store,
        flags,
        "cat /file; echo x > /a/written; (echo x > /b/x) 2> /dev/null || echo refused; ls -d /new",
    )

    assert output.split() == ["note", "refused", "/new"]
    assert (tmp_path / "a" / "written").read_text() == "x\n"
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-v", "name:/x"], "no volumes yet"),
        (["-v", "/x"], "no volumes yet"),
        (["--mount", "type=volume,dst=/x"], "no volumes yet"),
        (["--mount", "type=bind,src=/no/such/thing,dst=/x"], "does not exist"),
        (["--mount", "type=bind,src=/tmp,dst=/x,bind-propagation=odd"], "invalid propagation"),
        (["--mount", "type=tmpfs,dst=/x,odd=1"], "invalid option 'odd'"),
        (["--tmpfs", "/x:dev"], "invalid option 'dev'"),
        (["-v", "/tmp:/proc/x"], "/proc and /sys are the kernel's"),
        (["-v", "/tmp:/../.."], "a container has one root"),
        (["--network", "bridge"], "no bridges"),
        (["--userns", "odd"], "invalid --userns"),
        (["--cpus", "x"], "invalid number of processors"),
        (["--cpus", "1", "--cpu-quota", "50000"], "both by number and by a quota"),
        (["--cpu-quota", "10"], "1000 at least"),
        (["--cpu-period", "10"], "from 1000 to 1000000"),
        (["-m", "1m"], "the least is 6m"),
        (["--ulimit", "odd=1"], "invalid resource limit"),
        (["--ulimit", "nofile=2:1"], "soft limit"),
        (["--cap-add", "odd"], "unknown capability"),
        (["--add-host", "x:nonsense"], "invalid IP address"),
        (["--dns", "nonsense"], "invalid IP address"),
        (["--pid", "odd"], "cannot share the pid namespace"),
        (["--ipc", "container:no-such"], "no such container"),
        (["--oom-score-adj", "2000"], "invalid OOM score"),
        (["--shm-size", "0"], "must be greater than 0"),
        (["--group-add", "no-such-group"], "no group 'no-such-group'"),
        (["--blkio-weight", "5"], "from 10 to 1000"),
        (["--device-read-bps", "/dev/null:1m"], "no block device"),
    ],
)
def test_what_cannot_be_is_one_clear_error(store: Path, flags: list[str], message: str) -> None:
    assert message in refused(store, *flags)


def test_a_limit_that_is_over_what_we_may_is_refused(store: Path) -> None:
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    if effective >> 24 & 1:
        pytest.skip("this root may raise limits")

    assert "without CAP_SYS_RESOURCE" in refused(store, "--ulimit", "nofile=1000000000")


def test_mounts_that_come_later_reach_a_bound_directory_only_if_asked(store: Path, tmp_path: Path) -> None:
    """The host's mounts are shared in a namespace of this test alone; the container reports before and after."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    run = f"{sys.executable} -m lstore --root {store} run --rm -v {source}:/own -v {source}:/late:rslave"
    script = (
        f"mount --bind {source} {source}; mount --make-shared {source}; mkfifo {tmp_path}/go {tmp_path}/done;"
        f"{run} -v {tmp_path}:/sync busybox sh -c 'echo > /sync/go; cat /sync/done; grep -c below /proc/self/mountinfo;"
        " grep below /proc/self/mountinfo' &"
        f" cat {tmp_path}/go; mount -t tmpfs t {source}/below; echo > {tmp_path}/done; wait"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    lines = done.stdout.split("\n")
    assert "1" in lines, done
    assert any(" /late/below " in line for line in lines)


def test_a_mount_is_shared_only_where_the_host_shares_it(store: Path, tmp_path: Path) -> None:
    run = f"{sys.executable} -m lstore --root {store} run --rm -v {tmp_path}:/x:rshared busybox true"
    script = f"mount --make-rprivate /; exec {run}"

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 125
    assert "not on a shared mount" in done.stderr


def test_the_host_s_namespaces_are_shared_where_asked(store: Path) -> None:
    flags = ["--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host", "--network", "host"]

    output = sh(
        store, flags, "for n in pid ipc uts cgroup net mnt; do readlink /proc/self/ns/$n; done; hostname"
    )

    *found, hostname = output.split()
    outside = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "ipc", "uts", "cgroup", "net", "mnt")]
    assert found[:5] == outside[:5]
    assert found[5] != outside[5]
    assert hostname == os.uname().nodename


def test_the_host_s_shared_memory_gives_no_device(store: Path) -> None:
    node = f"/dev/shm/lstore-test-{os.urandom(4).hex()}"
    script = f"mknod {node} c 1 5; (: < {node}) 2> /dev/null && echo open; rm {node};"
    script += "grep ' /dev/shm ' /proc/self/mountinfo"

    output = sh(store, ["--ipc", "host"], script)

    options = output.split()[5].split(",")
    assert {"nosuid", "nodev", "noexec"} <= set(options), output


def test_nothing_is_left_of_a_container_in_the_host_s_pid_namespace(store: Path) -> None:
    marker = str(int.from_bytes(os.urandom(3)) + 10**6)

    sh(store, ["--pid", "host"], f"sleep {marker} > /dev/null 2>&1 & echo started")

    command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert [line for line in command_lines if marker.encode() in line] == []


def test_another_container_s_namespaces_are_shared_where_asked(store: Path, running: str) -> None:
    other = f"container:{running}"
    flags = ["--pid", other, "--ipc", other, "--network", other]

    output = sh(
        store,
        flags,
        "for n in pid ipc net; do test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) && echo same; done;"
        "ls /dev/shm; cat /etc/hostname; tr '\\0' ' ' < /proc/1/cmdline",
    )

    words = output.split()
    assert words[:5] == ["same", "same", "same", "mine", "others"]
    assert words[5] == "sh"


def test_names_of_hosts_and_servers(store: Path) -> None:
    flags = ["--add-host", "db:10.0.0.7", "--add-host", "six=[::1]", "--dns", "10.1.1.1", "--dns", "10.1.1.2"]
    flags += ["--dns-search", "example.org", "--dns-option", "ndots:2"]

    output = sh(store, flags, "grep -E 'db|six' /etc/hosts; cat /etc/resolv.conf")

    assert output.splitlines() == [
        "10.0.0.7\tdb",
        "::1\tsix",
        "nameserver 10.1.1.1",
        "nameserver 10.1.1.2",
        "search example.org",
        "options ndots:2",
    ]


def test_further_groups_join_the_user_s(store: Path) -> None:
    assert sh(store, ["-u", "1000:1000", "--group-add", "10", "--group-add", "4242"], "id -G").split() == [
        "1000",
        "10",
        "4242",
    ]


def test_variables_come_from_files_and_bare_names_from_outside(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=1 2\n  B=x\nHOME\nABSENT_FROM_OUTSIDE\n")
    label = tmp_path / "labels"
    label.write_text("a=b\n")
    home = os.environ.get("HOME", "")

    output = sh(store, ["--env-file", str(file), "--label-file", str(label), "-e", "C=3"], "env")

    lines = output.splitlines()
    assert {"A=1 2", "B=x", "C=3", f"HOME={home}"} <= set(lines)
    assert [line for line in lines if line.startswith("ABSENT")] == []


def test_a_device_node_of_the_image_s_owner_is_the_host_s(store: Path) -> None:
    status = os.stat("/dev/null")

    output = sh(store, ["--device", "/dev/null:/dev/other"], "stat -c %a:%u:%g /dev/other")

    assert output.strip() == f"{stat.S_IMODE(status.st_mode):o}:{status.st_uid}:{status.st_gid}"


def test_a_device_is_no_more_open_than_its_permissions_say(store: Path) -> None:
    host = "/dev/loop-control" if Path("/dev/loop-control").exists() else "/dev/kmsg"
    script = "(: < /dev/it) 2> /dev/null && echo r; (: > /dev/it) 2> /dev/null && echo w"

    assert sh(store, ["--device", f"{host}:/dev/it"], script).split() == ["r", "w"]
    assert sh(store, ["--device", f"{host}:/dev/it:r"], f"{script}; true").split() == ["r"]


def with_own_ids(
    store: Path, tmp_path: Path, line: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """lstore where /etc/subuid and /etc/subgid hold `line`, for it alone."""
    ids = tmp_path / "ids"
    ids.write_text(line)
    bound = "touch /etc/subuid /etc/subgid; for f in subuid subgid; do mount --bind $0 /etc/$f; done"
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        f'{bound}; exec "$@"',
        str(ids),
        sys.executable,
        "-m",
        "lstore",
    ]
    words = [*command, "--root", str(store), *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


def test_root_inside_is_nobody_outside_and_the_image_is_not_chowned(store: Path, tmp_path: Path) -> None:
    name = f"mapped-{os.urandom(4).hex()}"
    ids = "lstore:1000000:65536\n"
    script = "touch /mine; while :; do sleep 0.1; done"
    run = ["run", "-d", "--name", name, "--userns", "remap", "-m", "64m", "busybox", "sh", "-c", script]

    started = with_own_ids(store, tmp_path, ids, *run)
    inside = with_own_ids(
        store,
        tmp_path,
        ids,
        "exec",
        name,
        "sh",
        "-c",
        "id -u; stat -c %u:%g /bin /bin/busybox /mine /; cat /proc/self/uid_map",
    )

    assert started.returncode == 0, started
    assert inside.stdout.split() == ["0", "0:0", "0:0", "0:0", "0:0", "0", "1000000", "65536"], inside
    state = json.loads(call(store, "inspect", name).stdout)[0]["State"]
    status = Path(f"/proc/{state['Pid']}/status").read_text()
    assert "Uid:\t1000000\t1000000\t1000000\t1000000" in status
    owners = {path.lstat().st_uid for path in (store / "snapshots" / "active").rglob("upper/*")}
    assert owners == {1000000}
    call(store, "rm", "-f", name).check_returncode()


def test_a_mapped_container_sees_the_host_s_processes_and_changes_nothing_of_it(
    store: Path, tmp_path: Path
) -> None:
    script = (
        "readlink /proc/self/ns/pid; cat /proc/$1/comm; grep -c . /proc/keys;"
        " (: > /proc/sys/kernel/core_pattern) 2> /dev/null || echo refused"
    )
    shared = ["--userns", "remap", "--pid", "host", "--ipc", "host"]
    words = ["run", "--rm", *shared, "busybox", "sh", "-c", script, "sh", str(os.getpid())]

    done = with_own_ids(store, tmp_path, "lstore:1000000:65536\n", *words)

    comm = Path("/proc/self/comm").read_text().strip()
    assert done.stdout.splitlines() == [os.readlink("/proc/self/ns/pid"), comm, "0", "refused"], done


def test_a_mapped_container_starts_again_with_what_it_wrote(store: Path, tmp_path: Path) -> None:
    name = f"mapped-{os.urandom(4).hex()}"
    ids = "lstore:1000000:65536\n"
    script = "test -e /mine && echo again; touch /mine"
    with_own_ids(
        store, tmp_path, ids, "create", "--name", name, "--userns", "remap", "busybox", "sh", "-c", script
    )

    outputs = [with_own_ids(store, tmp_path, ids, "start", "-a", name).stdout for _ in range(2)]

    assert outputs == ["", "again\n"]
    call(store, "rm", name).check_returncode()


def test_without_ids_that_are_kept_for_us_nothing_is_mapped(store: Path, tmp_path: Path) -> None:
    done = with_own_ids(store, tmp_path, "bob:1:2\n", "run", "--rm", "--userns", "remap", "busybox", "true")

    assert done.returncode == 125
    assert "keep none for 'lstore'" in done.stderr
