"""Whatever a Dockerfile says, it becomes steps or a typed error, and the same text becomes the same."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore.build.interpret import READERS
from layerstore.build.lint import check_file, check_graph, check_steps
from layerstore.build.step_key import definition_key, scratch_key
from layerstore.errors import LstoreError
from layerstore.oci.document import dump
from layerstore.oci.platform import Platform

Build = Callable[..., object]

KEYWORDS = st.sampled_from([*READERS, "Run", "#"])
WORDS = (
    " ",
    "\\",
    "'",
    '"',
    "=",
    "a",
    "b=c",
    "/",
    "..",
    "*",
    "é",
    "\t",
    "`",
    "\udcff",
    "\0",
    "scratch",
    "NONE",
    "CMD x",
)
VARIABLES = ("$a", "${a", "${a:-b}", "${a#*}", "${a//b/c}", "}")
FLAGS = (
    "--from=0",
    "--chown=1:2",
    "--mount=type=cache,target=/c",
    "--mount=from=a",
    "--link",
    "--exclude=*",
    "AS a",
)
VALUES = (
    "[",
    "]",
    '["a", "b"]',
    "80/tcp",
    "1-9",
    "SIGTERM",
    "http://x/y",
    "git@x:y",
    "--platform=$BUILDPLATFORM",
)
LINE_ENDS = ("\n", "\\\n", "<<EOF", "\nEOF\n", "# escape=`")
PIECES = st.sampled_from([*WORDS, *VARIABLES, *FLAGS, *VALUES, *LINE_ENDS])
LINES = st.builds(
    lambda keyword, pieces: f"{keyword} {' '.join(pieces)}",
    KEYWORDS,
    st.lists(PIECES, max_size=6),
)
FILES = st.lists(LINES, max_size=8).map(lambda lines: "FROM scratch AS a\n" + "\n".join(lines))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_any_file_becomes_steps_or_a_typed_error(build: Build, text: str) -> None:
    try:
        built = build(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    except LstoreError:
        return

    steps = built.steps.get(built.target.index, ())
    list(check_file(built.dockerfile))
    list(check_graph(built.dockerfile, built.graph, built.arguments))
    list(check_steps(steps))
    key = scratch_key(Platform("linux", "amd64"))
    for step in steps:
        key = definition_key(step, key)
        assert dump(step.after.image.document(base=(), layers=[None] * len(steps), created=""))
        assert step.instruction.position.line <= len(built.dockerfile.source.lines)
