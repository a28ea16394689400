"""What is found again, and what is not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.builds import Builder, write
from fixtures.registry import Registry
from lstore.engine.df import disk_usage

pytestmark = pytest.mark.root

STAGES = """
FROM busybox AS made
COPY source /source
RUN tr a-z A-Z < /source > /result
FROM busybox
COPY --from=made /result /result
RUN cat /result > /copy
"""


def test_a_second_build_carries_nothing_out_and_gives_the_same_image(builder: Builder) -> None:
    context = builder.context(STAGES, {"source": "abc"})
    first = builder.build(context)

    second = builder.build(context, quiet=False)

    assert {second.step(each) for each in ("COPY source", "RUN tr", "COPY --from", "RUN cat")} == {"CACHED"}
    assert builder.build(context).id == first.id


def test_a_fresh_clone_elsewhere_is_found(builder: Builder, tmp_path: Path) -> None:
    context = builder.context(STAGES, {"source": "clone"})
    first = builder.build(context)
    shutil.copytree(context, tmp_path / "clone", copy_function=shutil.copy)
    os.utime(tmp_path / "clone" / "source", (1, 1))

    second = builder.build(tmp_path / "clone", quiet=False)

    assert second.step("COPY source") == "CACHED"
    assert builder.build(tmp_path / "clone").id == first.id


def test_a_stage_that_comes_to_the_same_content_costs_those_above_nothing(builder: Builder) -> None:
    context = builder.context(STAGES, {"source": "same"})
    builder.build(context)
    write(context, {"source": "SAME"})

    second = builder.build(context, quiet=False)

    assert second.step("RUN tr") == "DONE"
    assert second.step("COPY --from") == "CACHED"
    assert second.step("RUN cat") == "CACHED"


def test_a_changed_file_is_no_hit(builder: Builder) -> None:
    context = builder.context("FROM scratch\nCOPY f /f", {"f": "1"})
    first = builder.build(context)
    write(context, {"f": "2"})

    assert builder.build(context).id != first.id


def test_environment_counts_and_labels_do_not(builder: Builder) -> None:
    text = "FROM busybox\nARG A=1\nLABEL l={0}\nRUN echo $A > /{1}"
    builder.build(builder.context(text.format("one", "env")))

    label = builder.build(builder.context(text.format("two", "env")), quiet=False)
    argument = builder.build(builder.context(text.format("two", "env")), "--build-arg", "A=2", quiet=False)

    assert label.step("RUN") == "CACHED"
    assert argument.step("RUN") == "DONE"


def test_no_cache_carries_out_every_step(builder: Builder) -> None:
    context = builder.context(STAGES, {"source": "no cache"})
    builder.build(context)

    every = builder.build(context, "--no-cache", quiet=False)
    one = builder.build(context, "--no-cache-filter", "made", quiet=False)

    assert every.step("RUN cat") == "DONE"
    assert one.step("RUN tr") == "DONE"
    assert one.step("RUN cat") == "CACHED"


def test_a_pulled_image_is_no_candidate(builder: Builder) -> None:
    """CVE-2024-24557: a layer of a base is never taken for a step that would make the same."""
    first = builder.image("FROM busybox\nRUN echo > /candidate")
    builder.call("tag", first, "candidate")
    builder.call("builder", "prune", "-f")

    again = builder.build(builder.context("FROM busybox\nRUN echo > /candidate"), quiet=False)

    assert again.step("RUN") == "DONE"


def test_what_is_pruned_is_carried_out_again_and_images_stay(lonely_builder: Builder) -> None:
    context = lonely_builder.context("FROM busybox\nRUN echo kept > /kept")
    image = lonely_builder.build(context, "-t", "kept").id
    lonely_builder.build(lonely_builder.context("FROM busybox\nRUN echo lost > /lost"))

    pruned = lonely_builder.call("builder", "prune", "-f")
    lonely_builder.call("system", "prune", "-f").check_returncode()

    assert "RUN echo lost" in pruned.stdout
    assert lonely_builder.call("builder", "du", "--format", "{{.ID}}").stdout == ""
    assert lonely_builder.read("kept", "/kept") == "kept\n"
    assert lonely_builder.build(context, quiet=False).step("RUN") == "DONE"
    assert lonely_builder.config("kept").image_id == lonely_builder.config(image).image_id


def test_a_collection_leaves_what_records_name(lonely_builder: Builder, busybox_layout: Path) -> None:
    context = lonely_builder.context("FROM busybox\nRUN echo middle > /m\nRUN rm /m")
    lonely_builder.build(context, "-t", "image")
    lonely_builder.call("rmi", "image").check_returncode()

    lonely_builder.call("system", "prune", "-a", "-f").check_returncode()
    lonely_builder.call("load", "-q", "-i", str(busybox_layout)).check_returncode()

    assert lonely_builder.build(context, quiet=False).step("RUN echo middle") == "CACHED"
    assert lonely_builder.call("fsck").returncode == 0


def test_a_layer_that_an_image_has_counts_for_that_alone(lonely_builder: Builder) -> None:
    lonely_builder.image("FROM busybox\nRUN head -c 1000000 /dev/zero > /zeros\n", None, "-t", "built")
    root = str(lonely_builder.root)
    said = subprocess.run(["du", "-s", "--block-size=1", root], capture_output=True, check=True).stdout

    usage = disk_usage(lonely_builder.engine)

    sizes = {kind.name: kind.size for kind in usage.kinds}
    assert sum(sizes.values()) == int(said.split()[0])
    assert sizes["Images"] > 1_000_000 > sizes["Build Cache"]
    assert min(sizes.values()) >= 0


def test_unused_stages_are_left_alone(builder: Builder) -> None:
    context = builder.context("FROM busybox AS unused\nRUN exit 1\nFROM busybox AS used\nRUN echo used\n")

    result = builder.build(context, quiet=False)

    assert result.status == 0
    assert "exit 1" not in result.errors


def test_a_cache_mount_lasts_and_no_layer_has_it(builder: Builder) -> None:
    mount = "--mount=type=cache,target=/cache,id=lasting"
    text = f"FROM busybox\nARG N\nRUN {mount} echo $N >> /cache/log; cp /cache/log /log"
    context = builder.context(text)
    builder.build(context, "--build-arg", "N=1")

    image = builder.build(context, "--build-arg", "N=2").id

    assert builder.read(image, "/log") == "1\n2\n"
    assert "cache" not in builder.tree(image)
    assert "cache mount lasting" in builder.call("builder", "du").stdout


@pytest.mark.parametrize("kind", ["local", "registry"])
def test_a_cache_goes_elsewhere_and_comes_back(
    builder: Builder, lonely_builder: Builder, registry: Registry, tmp_path: Path, kind: str
) -> None:
    places = {
        "local": (f"type=local,dest={tmp_path}/cache", f"type=local,src={tmp_path}/cache"),
        "registry": (f"type=registry,ref={registry.address}/cache:1", f"{registry.address}/cache:1"),
    }
    context = builder.context(STAGES, {"source": f"exchanged by {kind}"})
    first = builder.build(context, "--cache-to", places[kind][0])
    assert first.status == 0, first.errors

    second = lonely_builder.build(context, "--cache-from", places[kind][1], quiet=False)

    assert {second.step(each) for each in ("COPY source", "RUN tr", "COPY --from", "RUN cat")} == {"CACHED"}
    assert lonely_builder.build(context).id == first.id
    assert lonely_builder.call("fsck").returncode == 0


def test_a_cache_that_is_not_there_yet_is_none(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM busybox\nRUN echo fresh > /fresh")

    result = builder.build(context, "--cache-from", f"type=local,src={tmp_path}/none")

    assert result.status == 0, result.errors
