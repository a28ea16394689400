"""Progress is bars on a terminal, a line per change elsewhere, and nothing when quiet."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fixtures.images.entries import file, make_tar
from fixtures.images.layout import ImageBuilder, layer
from lstore.cli.progress import OpenProgress
from tests.cli.conftest import Lstore, memory, written


def test_a_log_gets_a_line_per_change_of_phase() -> None:
    err = memory()

    with OpenProgress(err, is_quiet=False) as progress:
        progress.phase("abc", "waiting", 10)
        progress.phase("abc", "downloading", 10)
        progress.advance("abc", 10)
        progress.phase("abc", "downloading", 10)
        progress.phase("abc", "done")
        progress.note("trying the mirror")

    assert written(err) == "abc: Downloading\nabc: Complete\ntrying the mirror\n"


def test_quiet_is_silent() -> None:
    err = memory(is_terminal=True)

    with OpenProgress(err, is_quiet=True) as progress:
        progress.phase("abc", "downloading", 10)
        progress.note("trying the mirror")

    assert written(err) == ""


def test_a_terminal_gets_bars_with_amounts_and_a_whole() -> None:
    err = memory(is_terminal=True)

    with OpenProgress(err, is_quiet=False) as progress:
        progress.phase("abc", "downloading", 5_000_000)
        progress.phase("def", "resuming", 1_000_000)
        progress.advance("abc", 5_000_000)
        progress.phase("abc", "done")
        progress.phase("ghi", "exists")
        progress.note("red \x1b[31m herring")

    text = written(err)
    for expected in ("abc", "5MB/5MB", "Complete", "Resuming", "Already exists", "total", "6MB"):
        assert expected in text
    assert "red \\x1b[31m herring" in text


def test_threads_report_side_by_side() -> None:
    err = memory(is_terminal=True)

    def work(progress, key: str) -> None:
        progress.phase(key, "downloading", 1000)
        for _ in range(100):
            progress.advance(key, 10)
        progress.phase(key, "done")

    with OpenProgress(err, is_quiet=False) as progress, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: work(progress, f"layer{number}"), range(8)))

    assert written(err).count("Complete") >= 8


def test_no_work_draws_and_imports_nothing() -> None:
    script = (
        "import sys\n"
        "from tests.cli.conftest import memory\n"
        "from lstore.cli.progress import OpenProgress\n"
        "with OpenProgress(memory(is_terminal=True), is_quiet=False): pass\n"
        "sys.exit('rich' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_comes_from_this_machine_is_loaded(lstore: Lstore, tmp_path: Path) -> None:
    builder = ImageBuilder()
    builder.add_image([layer([file("a")])], tag="app:1")
    archive = str(builder.write(tmp_path / "layout"))

    outputs = (
        lstore("load", "-i", archive).err,
        lstore("import", "-", stdin=make_tar([file("b")])).err,
        lstore("--root", str(tmp_path / "other"), "copy", f"oci:{archive}", "store:app:1").err,
    )

    for said in outputs:
        assert ": Loading\n" in said
        assert "Downloading" not in said
