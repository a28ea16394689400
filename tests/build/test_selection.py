"""What COPY and ADD take."""

from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.build.context import Context
from layerstore.build.selection import Selection, select
from layerstore.errors import InvalidInput, NotFound

OpenContext = Callable[..., Context]
FILES = ("a.txt", "b.txt", "c.md", "dir/x.txt", "dir/sub/y.txt", "dir/sub/z.md", "other/x.txt")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "file-link").symlink_to("a.txt")
    return tmp_path


def shown(selections: tuple[Selection, ...]) -> dict[str, list[str]]:
    """Each selection's name, or ``source/``, and its targets."""
    return {each.name or f"{each.source}/": [item.target for item in each.items] for each in selections}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a.txt"], {"a.txt": [""]}),
        (["/a.txt", "./c.md"], {"a.txt": [""], "c.md": [""]}),
        (["*.txt"], {"a.txt": [""], "b.txt": [""]}),
        (["?.[mt]*"], {"a.txt": [""], "b.txt": [""], "c.md": [""]}),
        (["*/x.txt"], {"x.txt": [""]}),
        (["dir"], {"dir/": ["", "sub", "sub/y.txt", "sub/z.md", "x.txt"]}),
        (["dir/"], {"dir//": ["", "sub", "sub/y.txt", "sub/z.md", "x.txt"]}),
        (["dir/../other/."], {"dir/../other/./": ["", "x.txt"]}),
        (["**/y.txt"], {"y.txt": [""]}),
        (["di*"], {"di*/": ["", "sub", "sub/y.txt", "sub/z.md", "x.txt"]}),
        (["link"], {"link/": ["", "sub", "sub/y.txt", "sub/z.md", "x.txt"]}),
        (["link/sub"], {"link/sub/": ["", "y.txt", "z.md"]}),
        (["link/*.txt"], {"x.txt": [""]}),
        (["file-link"], {"file-link": [""]}),
        (["*.nothing"], {}),
        (["nothing/*.txt"], {}),
    ],
)
def test_sources_are_files_directories_and_patterns(
    tree: Path, open_context: OpenContext, sources: list[str], expected: dict[str, list[str]]
) -> None:
    assert shown(select(open_context(tree), sources)) == expected


def test_the_root_is_everything(tree: Path, open_context: OpenContext) -> None:
    (selection,) = select(open_context(tree), ["."])

    assert selection.is_directory
    assert len(selection.items) == 13
    assert select(open_context(tree), ["/"])[0].items == selection.items


def test_a_link_gives_what_it_leads_to_under_its_own_name(tree: Path, open_context: OpenContext) -> None:
    (selection,) = select(open_context(tree), ["file-link"])

    assert (selection.name, selection.items[0].found.path) == ("file-link", "a.txt")


def test_links_inside_a_directory_stay_links(tree: Path, open_context: OpenContext) -> None:
    (tree / "dir/out").symlink_to("/etc/passwd")

    (selection,) = select(open_context(tree), ["dir"])

    assert "out" in [item.target for item in selection.items]


@pytest.mark.parametrize("source", ["..", "../x", "a/../../x", "/../x", "../*", "dir/../../*"])
def test_sources_outside_the_context_are_refused(tree: Path, open_context: OpenContext, source: str) -> None:
    with pytest.raises(InvalidInput, match="outside the build context"):
        select(open_context(tree), [source])
    with pytest.raises(InvalidInput, match="outside the build context"):
        select(open_context(tree), [source], parents=True)


def test_a_link_that_leads_out_leads_nowhere(tmp_path: Path, open_context: OpenContext) -> None:
    (tmp_path / "canary").write_text("secret")
    context = tmp_path / "context"
    context.mkdir()
    (context / "up").symlink_to("../canary")
    (context / "absolute").symlink_to(tmp_path / "canary")

    for source in ("up", "absolute"):
        with pytest.raises(NotFound):
            select(open_context(context), [source])


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [("a.tx", "did you mean a.txt?"), ("dir/sub/y.tx", "did you mean y.txt?"), ("zzz/x", "")],
)
def test_a_name_that_is_not_there_is_told(
    tree: Path, open_context: OpenContext, source: str, suggestion: str
) -> None:
    with pytest.raises(NotFound) as caught:
        select(open_context(tree), [source])

    assert f"cannot copy {source!r}" in caught.value.message
    assert suggestion in caught.value.message


def test_what_is_ignored_cannot_be_copied(tree: Path, open_context: OpenContext) -> None:
    context = open_context(tree, "*.txt", "dir", "!dir/sub")

    assert shown(select(context, ["dir", "*.txt"])) == {"dir/": ["", "sub", "sub/y.txt", "sub/z.md"]}
    for source in ("a.txt", "file-link", "dir/x.txt"):
        with pytest.raises(NotFound):
            select(context, [source])


@pytest.mark.parametrize(
    ("source", "exclude", "expected"),
    [
        ("dir", ["*.txt"], ["", "sub", "sub/y.txt", "sub/z.md"]),
        ("dir", ["**/*.txt"], ["", "sub", "sub/z.md"]),
        ("dir", ["sub"], ["", "x.txt"]),
        ("dir", ["sub", "!sub/z.md"], ["", "sub", "sub/z.md", "x.txt"]),
        ("dir", ["**"], [""]),
    ],
)
def test_exclude_is_relative_to_the_source(
    tree: Path, open_context: OpenContext, source: str, exclude: list[str], expected: list[str]
) -> None:
    (selection,) = select(open_context(tree), [source], exclude=exclude)

    assert [item.target for item in selection.items] == expected


def test_exclude_leaves_out_files_of_a_pattern(tree: Path, open_context: OpenContext) -> None:
    assert shown(select(open_context(tree), ["*.txt"], exclude=["b*"])) == {"a.txt": [""]}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.txt", ["a.txt"]),
        ("./dir/x.txt", ["dir", "dir/x.txt"]),
        ("dir/sub", ["dir", "dir/sub", "dir/sub/y.txt", "dir/sub/z.md"]),
        ("dir/./sub/y.txt", ["sub", "sub/y.txt"]),
        ("dir/./sub", ["sub", "sub/y.txt", "sub/z.md"]),
        ("*/x.txt", ["dir", "dir/x.txt", "other", "other/x.txt"]),
        ("**/*.md", ["c.md", "dir", "dir/sub", "dir/sub/z.md"]),
        ("dir/./**/*.txt", ["sub", "sub/y.txt", "x.txt"]),
        ("link/./sub/*.txt", ["sub", "sub/y.txt"]),
    ],
)
def test_parents_keeps_paths_from_the_pivot_on(
    tree: Path, open_context: OpenContext, source: str, expected: list[str]
) -> None:
    (selection,) = select(open_context(tree), [source], parents=True)

    assert selection.is_directory
    assert [item.target for item in selection.items] == expected


def test_parents_and_exclude_work_together(tree: Path, open_context: OpenContext) -> None:
    (selection,) = select(open_context(tree), ["dir"], parents=True, exclude=["**/*.txt"])

    assert [item.target for item in selection.items] == ["dir", "dir/sub", "dir/sub/z.md"]


def test_parents_of_a_name_that_is_not_there_is_told(tree: Path, open_context: OpenContext) -> None:
    with pytest.raises(NotFound):
        select(open_context(tree), ["dir/nope"], parents=True)
