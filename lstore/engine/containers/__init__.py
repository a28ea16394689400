"""Containers: one verb per module over `runner.home`, their directories, and `runner.monitor`, their keeper.

Verbs that start or enter one are on the path that starts a process, so `Value` and no ``dataclasses`` there.
"""
