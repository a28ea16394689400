"""Which control groups a host has, read from the kernel's own descriptions."""

from runner.cgroups.host import Host, parse

VERSION1 = """\
22 27 0:21 / /proc rw - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""
VERSION2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_a_hybrid_host_is_one_of_version_1() -> None:
    groups = "5:memory:/user\n4:cpu,cpuacct:/\n1:name=systemd:/user\n0::/user\n"

    host = parse(VERSION1, groups)

    assert host.version == 1
    assert dict(host.own) == {
        "memory": "/sys/fs/cgroup/memory/user",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
    }


def test_a_unified_host_has_one_directory_for_all() -> None:
    host = parse(VERSION2, "0::/user.slice/session 1.scope\n")

    assert host == Host(2, (), "/sys/fs/cgroup/user.slice/session 1.scope")


def test_a_host_without_control_groups_has_none() -> None:
    assert parse("22 27 0:21 / /proc rw - proc proc rw\n", "0::/\n") == Host(0)


def test_a_group_outside_what_is_mounted_is_not_found() -> None:
    mounted = "30 23 0:26 /a /cg rw - cgroup2 cgroup2 rw\n"

    assert parse(mounted, "0::/b\n") == Host(0)
    assert parse(mounted, "0::/a/c\n").unified == "/cg/c"


def test_a_mount_point_with_a_space_is_read_as_proc_writes_it() -> None:
    assert parse("30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n", "0::/\n").unified == "/my groups"
