import pytest

from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer import tree as tree_module
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.standalone import StandaloneLayer
from layerstore.layer.tree import Tree, walk


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode)


def file(path: bytes, size: int = 0) -> Entry:
    return Entry(path, Kind.REGULAR, size=size)


def symlink(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.SYMLINK, link=target)


def hardlink(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.HARDLINK, link=target)


def whiteout(path: bytes) -> Entry:
    return Entry(path, Kind.WHITEOUT)


def opaque(path: bytes) -> Entry:
    return Entry(path, Kind.OPAQUE)


def build(*layers: list[Entry]) -> Tree:
    tree = Tree()
    for layer in layers:
        tree.apply(layer)
    return tree


def paths(tree: Tree) -> list[bytes]:
    return [path for path, _ in walk(tree.root)][1:]


def test_an_implied_parent_keeps_the_lower_layer_s_metadata() -> None:
    tree = build([directory(b"etc", 0o700)], [file(b"etc/hosts")])

    node = tree.find(b"etc")
    assert node is not None
    assert (node.entry.mode, tree.has_implied) == (0o700, False)


def test_an_implied_parent_that_nobody_described_is_plain() -> None:
    tree = build([file(b"a/b/c")])

    node = tree.find(b"a/b")
    assert node is not None
    assert (node.entry.mode, node.entry.uid, node.entry.gid, node.entry.mtime) == (0o755, 0, 0, 0)
    assert tree.has_implied


def test_a_directory_s_new_metadata_leaves_its_children() -> None:
    assert paths(build([file(b"d/f")], [directory(b"d", 0o700)])) == [b"d", b"d/f"]


def test_what_is_no_directory_removes_a_subtree_and_a_directory_replaces_a_file() -> None:
    assert paths(build([file(b"d/e/f")], [file(b"d")])) == [b"d"]
    assert paths(build([file(b"d")], [directory(b"d"), file(b"d/f")])) == [b"d", b"d/f"]


@pytest.mark.parametrize("mark_first", [True, False])
def test_marks_hide_lower_layers_only_whatever_the_order(mark_first: bool) -> None:
    marks = [opaque(b"d"), whiteout(b"gone"), whiteout(b"again")]
    added = [file(b"d/new"), file(b"again", 7)]

    tree = build(
        [file(b"d/old"), file(b"gone"), file(b"again")], marks + added if mark_first else added + marks
    )

    assert paths(tree) == [b"again", b"d", b"d/new"]


def test_marks_of_what_is_not_there_do_nothing() -> None:
    assert paths(build([file(b"a")], [whiteout(b"b"), whiteout(b"a/x"), opaque(b"a"), opaque(b"x/y")])) == [
        b"a"
    ]


def test_parents_that_are_symlinks_are_followed_inside_the_root() -> None:
    lower = [directory(b"usr/lib"), symlink(b"lib", b"/../../usr/./lib"), symlink(b"out", b"../../../usr")]

    tree = build(lower, [file(b"lib/a"), file(b"out/b")], [whiteout(b"lib/a")])

    assert paths(tree) == [b"lib", b"out", b"usr", b"usr/b", b"usr/lib"]
    assert tree.has_followed_symlink


def test_a_symlink_to_nothing_gets_its_target_made() -> None:
    assert paths(build([symlink(b"l", b"x/y"), file(b"l/f")])) == [b"l", b"x", b"x/y", b"x/y/f"]


def test_a_parent_changed_within_a_layer_is_resolved_anew() -> None:
    tree = build([file(b"l/one"), symlink(b"l", b"m"), file(b"l/two"), directory(b"l"), file(b"l/three")])

    assert paths(tree) == [b"l", b"l/three", b"m", b"m/two"]


REFUSED = {
    "a symlink to itself": [symlink(b"l", b"l"), file(b"l/f")],
    "a circle of symlinks": [symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/f")],
    "a file as a parent": [file(b"f"), file(b"f/g")],
    "a symlink to a file as a parent": [file(b"f"), symlink(b"l", b"f"), file(b"l/g")],
    "a hardlink to nothing": [hardlink(b"a", b"b")],
    "a hardlink to a directory": [directory(b"d"), hardlink(b"a", b"d")],
    "a hardlink before its target": [hardlink(b"a", b"b"), file(b"b")],
}


@pytest.mark.parametrize("layer", REFUSED.values(), ids=REFUSED)
def test_what_no_kernel_would_do_is_refused(layer: list[Entry]) -> None:
    with pytest.raises(InvalidLayer):
        build(layer)


def test_a_hardlink_to_a_file_whited_out_in_the_same_layer_is_refused() -> None:
    with pytest.raises(InvalidLayer, match="missing"):
        build([file(b"a")], [whiteout(b"a"), hardlink(b"b", b"a")])


def test_hardlinks_reach_into_lower_layers_and_outlive_their_first_name() -> None:
    tree = build(
        [file(b"a", 5)], [hardlink(b"b", b"a"), hardlink(b"c", b"a")], [whiteout(b"a"), file(b"b", 9)]
    )

    found = {path: node.entry.size for path, node in walk(tree.root)}
    assert found == {b"": 0, b"b": 9, b"c": 5}


def test_forty_symlinks_are_followed_but_not_forty_one() -> None:
    chain = [symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(41)]

    assert b"l41/f" in paths(build([*chain, directory(b"l41"), file(b"l1/f")]))
    with pytest.raises(InvalidLayer, match="symlinks"):
        build([*chain, directory(b"l41"), file(b"l0/f")])


def test_a_hundred_thousand_opaque_markers_are_no_more_than_as_many_steps() -> None:
    deep = b"/".join([b"d"] * 50)
    lower = [file(deep + b"/f%d" % n) for n in range(1000)]
    marks = [opaque(b"/".join([b"d"] * (n % 50 + 1))) for n in range(100_000)]
    tree = Tree()

    tree.apply(lower)
    tree.apply(marks)

    assert paths(tree) == [b"d"]


def test_the_deepest_path_there_is_can_be_walked() -> None:
    deepest = b"/".join([b"d"] * 2048)

    assert len(paths(build([file(deepest)]))) == 2048


def test_paths_entangled_on_purpose_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MAX_STEPS", 10_000)
    maze = symlink(b"m", b"d/../" * 800)

    with pytest.raises(LimitExceeded, match="components"):
        build([directory(b"d"), maze, *(file(b"m/%d/f" % n) for n in range(100))])


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MAX_ENTRIES", 100)

    with pytest.raises(LimitExceeded):
        build([file(b"/".join([b"%d" % n] * 20)) for n in range(10)])


def standalone(layer: list[Entry]) -> tuple[StandaloneLayer, dict[bytes, Entry]]:
    made = StandaloneLayer()
    for change in layer:
        made.take(change, change)
    return made, {path: node.entry for path, node in walk(made.finish().root)}


def test_a_layer_on_its_own_has_overlayfs_s_marks() -> None:
    layer = [
        directory(b"d"),
        opaque(b"d"),
        whiteout(b"d/hidden-anyway"),
        whiteout(b"gone"),
        whiteout(b"made"),
        directory(b"made"),
        whiteout(b"f"),
        file(b"f"),
    ]

    made, found = standalone(layer)

    assert found[b"gone"][:2] == (b"gone", Kind.CHARACTER)
    assert b"d/hidden-anyway" not in found
    assert found[b"d"].xattrs == found[b"made"].xattrs == {b"trusted.overlay.opaque": b"y"}
    assert found[b"f"].kind is Kind.REGULAR
    assert (made.stands_alone, made.is_stackable) == (False, True)


def test_marks_for_unprivileged_mounts_are_user_attributes() -> None:
    made = StandaloneLayer(userxattr=True)
    made.take(opaque(b"d"), opaque(b"d"))

    node = made.finish().find(b"d")

    assert node is not None
    assert node.entry.xattrs == {b"user.overlay.opaque": b"y"}


@pytest.mark.parametrize(
    ("layer", "stands_alone", "is_stackable"),
    [
        ([directory(b"d"), file(b"d/f")], True, True),
        ([file(b"d/f")], True, False),
        ([directory(b"d"), symlink(b"l", b"d"), file(b"l/f")], True, False),
        ([hardlink(b"a", b"in-a-lower-layer")], False, False),
        ([opaque(b"")], False, False),
        ([file(b"a"), whiteout(b"a/b")], False, False),
        ([], True, True),
    ],
)
def test_a_layer_knows_whether_it_stands_alone_and_stacks(
    layer: list[Entry], stands_alone: bool, is_stackable: bool
) -> None:
    made, _ = standalone(layer)

    assert (made.stands_alone, made.is_stackable) == (stands_alone, is_stackable)


def test_symlinks_do_not_build_trees_deeper_than_a_path() -> None:
    deep = b"d/" * 2000
    layer = [file(deep + b"x"), symlink(b"l1", deep), file(b"l1/" + deep + b"x")]

    with pytest.raises(LimitExceeded, match="deeper than any path"):
        build(layer)
