"""A disk that is full at any moment: one clear error, a store as it was, and the same work succeeds with more room."""

import subprocess
import sys
from pathlib import Path

import pytest

_SETUP = """
import collections, os, subprocess, sys
from fixtures.crash.scenarios import Images, collect, damages, keep_tars, open_at
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, contents, store_image
from layerstore.errors import NoSpace

place, outcomes = sys.argv[1], collections.Counter()
source = MemoryTarget()
first, second = add_image(source, [b"base"]), add_image(source, [b"base", b"x" * 20_000, b"small"])

def mount(pages, *options):
    size = f"size={pages * os.sysconf('SC_PAGE_SIZE')}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join((size, *options)), "none", place], check=True)

"""

# Each page less lets the disk be full one write earlier; so every write of the transaction meets it.
_COMMITS = """
for pages in range(9, 40):
    mount(400)
    store = open_at(place + "/store")
    store_image(store, source, first, "first", keep_tars)
    before = contents(place)
    used = sum(os.stat(os.path.join(place, name)).st_blocks * 512 for name in before)
    mount(pages + used // os.sysconf("SC_PAGE_SIZE") - 9, "remount")
    try:
        store_image(store, source, second, "second", keep_tars)
        outcomes["room"] += 1
    except NoSpace as error:
        assert error.hint and str(error).startswith("cannot "), error
        outcomes["full"] += 1
        assert damages(store) == (), pages
        assert store.blobs.resolve("first") == first
        mount(400, "remount")
        store_image(store, source, second, "second", keep_tars)
    assert damages(store) == (), pages
    assert store.blobs.resolve("second") == second
    collect(store)
    left = [path for path in contents(place) if path.startswith(("store/ingest/", "store/leases/")) or ".tmp-" in path]
    assert left == [], (pages, left)
    subprocess.run(["umount", place], check=True)
print(dict(outcomes))
assert outcomes["full"] > 8 and outcomes["room"] > 2, outcomes
"""


_REMOVAL = """
mount(400)
store = open_at(place + "/store")
for number in range(50):
    store_image(store, source, add_image(source, [b"base", b"%d" % number]), f"image{number}", keep_tars)
with open(place + "/filler", "wb", buffering=0) as filler:
    try:
        while True:
            filler.write(bytes(4096))
    except OSError:
        pass
assert os.statvfs(place).f_bavail == 0
try:
    store_image(store, source, second, "second", keep_tars)
    raise AssertionError("there is room")
except NoSpace:
    pass
store.update_refs(lambda table: table.without(lambda ref: str(ref.name).endswith("image7:latest")))
assert len(store.refs.read().refs) == 49
collect(store)
assert damages(store) == ()
os.unlink(place + "/filler")
store_image(store, source, second, "second", keep_tars)
assert os.path.exists(store.layout.reserve)
"""


def run(program: str, place: Path) -> None:
    command = ["unshare", "--mount", sys.executable, "-c", _SETUP + program, place]

    result = subprocess.run(command, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr


@pytest.mark.root
def test_an_image_can_be_removed_from_a_disk_without_a_free_byte(tmp_path: Path) -> None:
    run(_REMOVAL, tmp_path)


@pytest.mark.root
def test_a_disk_that_is_full_at_any_moment_costs_nothing_but_the_work(tmp_path: Path) -> None:
    run(_COMMITS, tmp_path)
