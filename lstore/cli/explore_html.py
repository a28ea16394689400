"""``lstore explore --html``: one page that holds all it needs, asks nothing of any network, and runs no foreign word.

Style and script are of this package, admitted by their digests in a Content-Security-Policy that forbids all
else; what the image says goes into a block of JSON, from which the script makes text nodes.
"""

import base64
import hashlib
import html
import json
from importlib.resources import files
from itertools import chain
from string import Template
from typing import Final

from layerstore.oci.document import Json
from lstore.cli.file_names import file_name, file_path, one_line
from lstore.engine.explore import LayerSummary, Survey
from lstore.engine.file_tree import Item

MAX_ROWS: Final = 500
"""Rows of each list that the page holds."""
_MAX_PLACES: Final = 20
_FLAGS: Final = {"": 0, "A": 1, "C": 2, "D": 3}
_WASTED: Final = 4
_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}
"""What could end a script element or begin a comment in it: HTML, "Restrictions for contents of script elements"."""


def page(survey: Survey) -> str:
    """The whole page, ASCII but for what this package's own files say."""
    folder = files("lstore.cli") / "explore_page"
    parts = {name: (folder / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    policy = (
        "default-src 'none'; "
        f"script-src {_digest(parts['js'])}; style-src {_digest(parts['css'])}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(parts["html"]).substitute(
        policy=policy,
        title=html.escape(one_line(survey.name)),
        style=parts["css"],
        script=parts["js"],
        data=json.dumps(document(survey), separators=(",", ":")).translate(_ESCAPES),
    )


def document(survey: Survey) -> dict[str, Json]:
    """What the script reads: names as they may be shown, paths as numbers, sizes in bytes."""
    nodes = _Nodes()
    whole = [(nodes.number(item.path), item.size, item.layer) for item in survey.items]
    layers = [
        [(nodes.number(item.path), item.size, _flag(item)) for item in changes] for changes in survey.changes
    ]
    return {
        "image": one_line(survey.name),
        "id": str(survey.id),
        "platform": one_line(str(survey.platform)),
        "efficiency": survey.efficiency,
        "stored": survey.stored,
        "wasted": survey.wasted,
        "duplicated": survey.duplicated,
        "layers": [_layer(layer) for layer in survey.layers],
        "names": nodes.names,
        "parents": nodes.parents,
        "views": [list(chain.from_iterable(view)) for view in (whole, *layers)],
        "waste": [
            {
                "path": file_path(each.path),
                "bytes": each.size,
                "copies": [[stored.layer, stored.size, by] for stored, by in each.copies],
            }
            for each in survey.waste[:MAX_ROWS]
        ],
        "duplicates": [
            {
                "extra": each.extra,
                "copies": len(each.files),
                "places": [[file.layer, file_path(file.path)] for file in each.files[:_MAX_PLACES]],
            }
            for each in survey.duplicates[:MAX_ROWS]
        ],
    }


class _Nodes:
    """Numbers for paths: a parent's is lower than its children's, the root's is 0."""

    def __init__(self) -> None:
        self.names = [""]
        self.parents = [0]
        self._numbers = {b"": 0}

    def number(self, path: bytes) -> int:
        """The number of `path`, which gets one if it has none."""
        missing = []
        while path not in self._numbers:
            missing.append(path)
            path = path.rpartition(b"/")[0]
        number = self._numbers[path]
        for each in reversed(missing):
            self.names.append(file_name(each.rpartition(b"/")[2]))
            self.parents.append(number)
            number = self._numbers[each] = len(self.names) - 1
        return number


def _flag(item: Item) -> int:
    return _FLAGS[item.mark] | (_WASTED if item.is_wasted else 0)


def _layer(layer: LayerSummary) -> dict[str, Json]:
    return {
        "step": one_line(layer.created_by.removeprefix("/bin/sh -c ")),
        "stored": layer.stored,
        "wasted": layer.wasted,
        "hides": layer.hides,
        "added": layer.added,
        "changed": layer.changed,
        "deleted": layer.deleted,
    }


def _digest(text: str) -> str:
    """`text` as a source expression of the policy. CSP Level 3, 2.3.1."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
