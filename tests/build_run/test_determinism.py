"""Equal contexts and bases give equal digests: wherever, whenever, under any umask and in any order."""

import os
import random
import shutil
from pathlib import Path

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

COPIES = "FROM busybox\nWORKDIR /w\nCOPY . /all/\nCOPY --chown=nobody d x /some/\nADD d /added\nENV A=1\n"
RUNS = "FROM busybox\nRUN mkdir /d && for i in b a c; do echo $i > /d/$i; done\nCOPY --from=busybox /bin/sh /sh\n"


def shuffled_copy(source: Path, target: Path, seed: int) -> Path:
    """A copy with other times, whose directories list their names in another order."""
    target.mkdir(parents=True)
    names = sorted(os.listdir(source))
    random.Random(seed).shuffle(names)
    for name in names:
        if (source / name).is_dir():
            shuffled_copy(source / name, target / name, seed)
        else:
            shutil.copyfile(source / name, target / name)
            shutil.copymode(source / name, target / name)
            os.utime(target / name, (seed, seed))
    return target


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Builder:
    """A second store, so that nothing is found that the first one made."""
    made = Builder(tmp_path_factory.mktemp("other"))
    made.call("load", "-q", "-i", str(busybox_layout)).check_returncode()
    return made


def test_copies_depend_on_content_alone(builder: Builder, other: Builder, tmp_path: Path) -> None:
    files = {f"d/{number % 7}/{number}": str(number) for number in range(60)}
    context = builder.context(COPIES, {**files, "x": "x"})
    elsewhere = shuffled_copy(context, tmp_path / "deep" / "elsewhere", seed=7)

    first = builder.build(context, umask=0o022)
    second = other.build(elsewhere, umask=0o077)

    assert first.status == second.status == 0
    assert first.id == second.id


def test_commands_do_too_once_their_times_are_bounded(builder: Builder, other: Builder) -> None:
    context = builder.context(RUNS)

    ids = {
        each.build(context, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", umask=umask).id
        for each, umask in ((builder, 0o022), (other, 0o077))
    }

    assert len(ids) == 1
    assert builder.config(ids.pop()).created == "2023-11-14T22:13:20Z"


STEPS = """
    FROM busybox
    RUN mkdir -p /d/e && echo 1 > /d/e/f && ln /d/e/f /d/g && chmod 1750 / && chown 3:4 /
    RUN rm -r /d && mkdir /d && echo 2 > /d/f && ln -s d /link
    RUN rm /d/f && mv /d /moved && mkdir -p /d/e && chmod 700 /d/e
    COPY f /link/f
    RUN rm /link && mkdir /link && cp -a /bin/sh /link/sh && rm -rf /moved && mkdir /moved && echo x > /moved/g
    COPY --link f /far/away
    RUN touch /far/away /far/too && ln /far/too /far/twin && rm /far/away
    COPY --from=busybox /bin /moved
    RUN rm /moved/sh && touch /link/.hidden
    RUN seen=$(find / -xdev | sort | xargs stat -c '%N %f %u %g') && echo "$seen" > /seen
"""


def test_how_steps_are_stacked_makes_no_difference(builder: Builder, other: Builder) -> None:
    context = builder.context(STEPS, {"f": "f"})
    build = ("build", "-q", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", str(context))

    stacked = builder.call(*build)
    unpacked = other.call("--driver", "directory", *build)

    assert stacked.returncode == unpacked.returncode == 0, stacked.stderr + unpacked.stderr
    assert stacked.stdout == unpacked.stdout


def test_the_epoch_bounds_the_times_of_our_layers_only(builder: Builder) -> None:
    context = builder.context("FROM busybox\nRUN touch /new\n")

    image = builder.build(context, "--build-arg", "SOURCE_DATE_EPOCH=1000").id

    base, own = builder.times(image)
    assert max(own.values()) == 1000
    assert max(base.values()) > 1000


def test_images_without_an_epoch_claim_no_time(builder: Builder) -> None:
    config = builder.config(builder.image("FROM busybox\nRUN touch /x\n"))

    assert config.created == ""
    assert config.history[-1].created == ""
