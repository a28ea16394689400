"""Durability: the only package that renames, syncs, locks and stages. Everybody else asks it to.

The order is always bytes, directories, names last (docs/ordering.md).
"""
