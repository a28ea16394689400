"""The part of Go's text/template that ``--format`` needs, as docker users know it.

Source text → `lexer` → `parser` → `nodes` → `evaluate`, with the `functions` that docker adds.
Semantics follow https://pkg.go.dev/text/template. Left out: define, template, block, break,
continue, call, html, js, urlquery, character constants, and numbers that are not plain decimals.
"""

from lstore.cli.template.evaluate import Template

__all__ = ["Template"]
