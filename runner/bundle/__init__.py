"""Containers for other runtimes: the OCI runtime-spec's config.json of what our own launcher would run.

`config` puts it together, `mounts` and `seccomp_json` write their parts. All pure, and not on the path that starts a
process with our own launcher.
"""
