"""Containers with limits, and this process's own control groups to look at."""

from tests.runner.conftest import busybox, containers

__all__ = ["busybox", "containers"]
