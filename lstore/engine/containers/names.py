"""Names for containers that were given none: an adjective and a noun, as docker's are."""

from __future__ import annotations

import os

_ADJECTIVES = (
    "agile", "amber", "bold", "brave", "bright", "calm", "candid", "clever", "cosy", "crisp", "curious",
    "daring", "deft", "eager", "earnest", "fair", "fleet", "fond", "frank", "fresh", "gentle", "glad",
    "golden", "grand", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky",
    "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky",
    "polite", "proud", "prudent", "quick", "quiet", "rapid", "ready", "serene", "sharp", "silent",
    "sincere", "smooth", "snappy", "sober", "spry", "steady", "stout", "sturdy", "subtle", "sunny",
    "swift", "tender", "tidy", "tranquil", "upbeat", "vivid", "warm", "wise", "witty", "zesty",
)  # fmt: skip
_NOUNS = (
    "anchor", "arbor", "badger", "barge", "beacon", "birch", "bison", "bobbin", "brook", "buoy",
    "canyon", "caravel", "cedar", "cliff", "clipper", "comet", "condor", "coral", "crane", "cutter",
    "dolphin", "dune", "egret", "elm", "falcon", "fern", "finch", "fjord", "galley", "gannet",
    "glacier", "grove", "gull", "harbor", "hawk", "heron", "hollow", "ibis", "island", "jetty",
    "juniper", "kayak", "kelp", "lagoon", "lark", "ledge", "lichen", "linnet", "lugger", "maple",
    "marten", "meadow", "merlin", "mooring", "moraine", "osprey", "otter", "pebble", "petrel", "pilot",
    "plover", "prairie", "puffin", "quarry", "raven", "reef", "ridge", "rowan", "sable", "schooner",
    "shoal", "sloop", "sparrow", "spruce", "summit", "swallow", "tern", "thicket", "tundra", "walrus",
    "willow", "wren",
)  # fmt: skip


def propose(attempt: int) -> str:
    """A name at random; from the third attempt on with a number, as then most are taken."""
    words = f"{_pick(_ADJECTIVES)}_{_pick(_NOUNS)}"
    return words if attempt < 2 else f"{words}{int.from_bytes(os.urandom(2))}"


def _pick(words: tuple[str, ...]) -> str:
    return words[int.from_bytes(os.urandom(2)) % len(words)]
