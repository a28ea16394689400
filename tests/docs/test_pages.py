"""What the pages say of commands and errors is what the code does, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

from layerstore import errors
from tests.docs.cli_reference import page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
_LINK = re.compile(r"\]\((?!https?://)([^)#]+)(#[^)]*)?\)")
_MODULE = re.compile(r"`((?:layerstore|registry_client|runner|lstore)(?:\.\w+)+)`")
_ROW = re.compile(r"^\| `(\w+)` \| ([a-z-]+) \| (\d+) \|$", re.MULTILINE)


def error_classes(kind: type[errors.LstoreError] = errors.LstoreError) -> set[type[errors.LstoreError]]:
    return {kind}.union(*(error_classes(each) for each in kind.__subclasses__()))


def test_the_command_line_page_is_the_help_of_the_commands() -> None:
    assert (ROOT / "docs/cli.md").read_text() == page()


def test_the_page_of_exit_statuses_lists_every_error() -> None:
    told = {
        (name, code, int(status))
        for name, code, status in _ROW.findall((ROOT / "docs/exit-statuses.md").read_text())
    }

    real = {
        (each.__name__, each.code, each.exit_status)
        for each in error_classes()
        if each.__module__ == errors.__name__
    }
    assert told == real


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    targets = [path.parent / match[0] for match in _LINK.findall(path.read_text())]

    assert [str(target) for target in targets if not target.exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_modules_that_pages_name_exist(path: Path) -> None:
    missing = []
    for name in _MODULE.findall(path.read_text()):
        parts = name.split(".")
        while parts and not is_module(parts):
            parts.pop()
        if len(parts) < name.count("."):  # one last word may be a name inside of the module
            missing.append(name)

    assert missing == []


def is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
