"""A survey as JSON. The schema is docs/explore.md's; fields are added to it, never changed.

Names are text in which each byte that is no UTF-8 is a lone surrogate, as Python's ``surrogateescape`` has it:
``os.fsencode`` gives the bytes back.
"""

import os
from collections.abc import Sequence
from typing import Final

from layerstore.oci.document import Json
from lstore.engine.duplicates import Duplicate
from lstore.engine.explore import LayerSummary, Survey, Waste
from lstore.engine.file_tree import Branch, Item, walk

SCHEMA: Final = 1
TOP: Final = 20
"""Rows of each list unless the caller wants more."""


def report(survey: Survey, *, top: int = TOP) -> dict[str, Json]:
    """The document, with at most `top` of the largest of each kind."""
    whole = survey.whole
    return {
        "schema": SCHEMA,
        "image": survey.name,
        "id": str(survey.id),
        "platform": str(survey.platform),
        "efficiency": round(survey.efficiency, 6),
        "storedBytes": survey.stored,
        "shownBytes": survey.stored - survey.wasted,
        "wastedBytes": survey.wasted,
        "duplicatedBytes": survey.duplicated,
        "files": whole.files,
        "layers": [_layer(number, layer) for number, layer in enumerate(survey.layers)],
        "largestFiles": [_file(item) for item in largest_files(survey.items, top)],
        "largestDirectories": [
            {"path": path_text(path), "bytes": branch.size, "files": branch.files}
            for path, branch in largest_directories(whole, top)
        ],
        "wastedFiles": [_waste(each) for each in survey.waste[:top]],
        "duplicates": [_duplicate(each) for each in survey.duplicates[:top]],
    }


def largest_files(items: Sequence[Item], top: int) -> list[Item]:
    """The `top` files that take most, the largest first."""
    return sorted((item for item in items if item.size), key=lambda item: (-item.size, item.path))[:top]


def largest_directories(root: Branch, top: int) -> list[tuple[bytes, Branch]]:
    """The `top` directories with most below them, the root left out."""
    found = [(path, branch) for path, branch in walk(root) if path and branch.is_directory and branch.size]
    return sorted(found, key=lambda pair: (-pair[1].size, pair[0]))[:top]


def path_text(path: bytes) -> str:
    """`path` from the root, as text that keeps every byte."""
    return os.fsdecode(b"/" + path)


def _layer(number: int, layer: LayerSummary) -> dict[str, Json]:
    return {
        "number": number,
        "diffId": str(layer.diff_id),
        "digest": str(layer.digest),
        "createdBy": layer.created_by,
        "compressedBytes": layer.compressed,
        "storedBytes": layer.stored,
        "wastedBytes": layer.wasted,
        "hidesBytes": layer.hides,
        "added": layer.added,
        "changed": layer.changed,
        "deleted": layer.deleted,
    }


def _file(item: Item) -> dict[str, Json]:
    return {"path": path_text(item.path), "bytes": item.size, "layer": item.layer}


def _waste(waste: Waste) -> dict[str, Json]:
    copies: list[Json] = [
        {"layer": stored.layer, "bytes": stored.size, "hiddenBy": by} for stored, by in waste.copies
    ]
    return {"path": path_text(waste.path), "bytes": waste.size, "copies": copies}


def _duplicate(duplicate: Duplicate) -> dict[str, Json]:
    places: list[Json] = [{"layer": each.layer, "path": path_text(each.path)} for each in duplicate.files]
    return {
        "digest": str(duplicate.digest),
        "bytes": duplicate.size,
        "extraBytes": duplicate.extra,
        "places": places,
    }
