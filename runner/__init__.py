"""The launcher: from a mount stack and a process spec to an exit status. The last stage of docs/flow.md.

`runner.launch.run` is the way in. One module holds one part of a container: spec, identity, namespaces,
rootfs (with kernel_mounts, devices and etc_files), capabilities, seccomp, command, signals; `runner.cgroups`
has its limits. But for what writes bundles and assembles profiles, all of it is on the path that starts a
process: no ``dataclasses``, ``typing``, ``json``, ``re``, ``socket`` or ``subprocess`` at run time, and everything
is imported before the first container step, because a later import would load code from the container's file system.
"""
