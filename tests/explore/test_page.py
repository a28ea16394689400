"""The page of ``lstore explore --html`` in a real browser, from a file, without a network."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from fixtures.images.entries import directory, file, symlink, whiteout
from lstore.cli.explore_html import document, page
from lstore.engine.engine import Engine
from lstore.engine.explore import Survey, explore
from tests.explore.conftest import HOSTILE, Keep, Lstore, Stack

pytestmark = [pytest.mark.package("chromium"), pytest.mark.package("chromium-driver")]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
)
TREE: Stack = [
    [
        directory("usr"),
        file("usr/large", b"l" * 5000),
        directory("usr/share"),
        file("usr/share/one", b"1" * 3000),
        file("usr/share/two", b"2" * 2000),
        file("etc/conf", b"c" * 4000),
        file("old", b"o" * 3000),
        file("empty"),
        symlink("lib", "usr/lib"),
    ],
    [file("etc/conf", b"C" * 4500), whiteout("old"), file("twin", b"1" * 3000)],
]
"""What the page shows in the end: usr (10,000), etc (4,500) and twin (3,000)."""
ATTACK = [
    [directory("d"), *(file(f"d/{name}", b"h" * 2000) for name in HOSTILE)],
    [whiteout(f"d/{HOSTILE[3]}"), symlink("link", HOSTILE[2])],
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for the tests of this module, with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield started
    started.quit()


@pytest.fixture
def survey(engine: Engine, keep: Keep) -> Survey:
    return explore(engine, keep(TREE))


@pytest.fixture
def opened(browser: webdriver.Chrome, survey: Survey, tmp_path: Path) -> webdriver.Chrome:
    """The browser with the page of the small image."""
    return show(browser, survey, tmp_path)


def show(browser: webdriver.Chrome, survey: Survey, folder: Path) -> webdriver.Chrome:
    (folder / "page.html").write_text(page(survey))
    browser.get((folder / "page.html").as_uri())
    return browser


def cells(browser: webdriver.Chrome, depth: int = 1) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, f'.cell[data-depth="{depth}"]')


def captions(browser: webdriver.Chrome, depth: int = 1) -> list[str]:
    """The names in the treemap, the largest first."""
    return [each.get_attribute("aria-label").partition(" · ")[0] for each in cells(browser, depth)]


def rows(browser: webdriver.Chrome) -> list[str]:
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#list tbody td.path")]


def click(browser: webdriver.Chrome, selector: str) -> None:
    browser.find_element(By.CSS_SELECTOR, selector).click()


def test_the_page_loads_from_a_file_without_a_complaint(opened: webdriver.Chrome) -> None:
    assert opened.get_log("browser") == []
    assert opened.title == "mine:1 · lstore explore"
    assert opened.find_element(By.ID, "image").text == "mine:1"
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_there_is_a_cell_for_each_thing_that_takes_space(opened: webdriver.Chrome) -> None:
    assert captions(opened) == ["/usr", "/etc", "/twin"]
    assert captions(opened, 2) == ["/usr/large", "/usr/share", "/etc/conf"]
    assert captions(opened, 3) == ["/usr/share/one", "/usr/share/two"]


def test_areas_are_sizes(opened: webdriver.Chrome) -> None:
    areas = [each.size["width"] * each.size["height"] for each in cells(opened)]

    shares = [area / sum(areas) for area in areas]
    assert shares == pytest.approx([10000 / 17500, 4500 / 17500, 3000 / 17500], abs=0.01)


def test_cells_of_one_directory_do_not_overlap(opened: webdriver.Chrome) -> None:
    boxes = [each.rect for each in cells(opened)]

    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert (
                one["x"] + one["width"] <= other["x"] + 1
                or other["x"] + other["width"] <= one["x"] + 1
                or one["y"] + one["height"] <= other["y"] + 1
                or other["y"] + other["height"] <= one["y"] + 1
            )


def test_a_click_zooms_in_and_the_path_above_zooms_out(opened: webdriver.Chrome) -> None:
    usr = cells(opened)[0]
    heading = -usr.size["height"] // 2 + 8
    ActionChains(opened).move_to_element_with_offset(usr, 0, heading).click().perform()
    assert captions(opened) == ["/usr/large", "/usr/share"]
    assert [each.text for each in opened.find_elements(By.CSS_SELECTOR, "#crumbs button")] == [
        "mine:1",
        "usr",
    ]

    click(opened, "#crumbs li:first-child button")
    assert captions(opened) == ["/usr", "/etc", "/twin"]


def test_the_keyboard_zooms_as_well(opened: webdriver.Chrome) -> None:
    cells(opened)[0].send_keys(Keys.ENTER)
    assert captions(opened) == ["/usr/large", "/usr/share"]

    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert captions(opened) == ["/usr", "/etc", "/twin"]


def test_a_search_filters_treemap_and_lists(opened: webdriver.Chrome) -> None:
    opened.find_element(By.ID, "search").send_keys("SHARE")

    assert captions(opened, 3) == ["/usr/share/one", "/usr/share/two"]
    assert rows(opened) == ["/usr/share/one", "/usr/share/two"]
    assert opened.find_element(By.ID, "details").text.startswith("3 paths match.")


def test_a_search_without_a_match_says_so(opened: webdriver.Chrome) -> None:
    opened.find_element(By.ID, "search").send_keys("nowhere")

    assert (cells(opened), rows(opened)) == ([], [])
    assert opened.find_element(By.ID, "map").text == "No content matches."


def test_a_layer_shows_what_it_stores_and_what_of_it_is_hidden(opened: webdriver.Chrome) -> None:
    click(opened, ".layer:nth-child(2)")

    assert captions(opened) == ["/usr", "/etc", "/old"]
    hidden = opened.find_elements(By.CSS_SELECTOR, ".cell.wasted")
    assert [each.get_attribute("aria-label").split(" · ")[0] for each in hidden] == ["/old", "/etc/conf"]
    assert opened.find_element(By.CSS_SELECTOR, '.layer[aria-checked="true"]').text.startswith("0")


def test_arrows_choose_layers(opened: webdriver.Chrome) -> None:
    opened.find_element(By.CSS_SELECTOR, '.layer[aria-checked="true"]').send_keys(
        Keys.ARROW_DOWN, Keys.ARROW_DOWN
    )

    assert captions(opened) == ["/etc", "/twin"]
    assert (
        opened.find_elements(By.CSS_SELECTOR, ".cell.changed")[0]
        .get_attribute("title")
        .startswith("/etc/conf")
    )


def test_lists_tell_of_waste_and_copies(opened: webdriver.Chrome) -> None:
    click(opened, "#tab-waste")
    assert rows(opened) == [
        "/etc/conf\n4.00 kB in layer 0, hidden by layer 1",
        "/old\n3.00 kB in layer 0, hidden by layer 1",
    ]

    click(opened, "#tab-duplicates")
    assert rows(opened) == ["/usr/share/one\nin layer 0\n/twin in layer 1"]


def test_a_button_switches_between_light_and_dark(opened: webdriver.Chrome) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    before = opened.execute_script(background)

    click(opened, "#theme")

    assert opened.execute_script(background) != before


def test_everything_interactive_has_a_name(opened: webdriver.Chrome) -> None:
    for each in opened.find_elements(By.CSS_SELECTOR, "button, input"):
        assert each.accessible_name


def test_hostile_names_are_text_and_nothing_else(
    browser: webdriver.Chrome, engine: Engine, keep: Keep, tmp_path: Path
) -> None:
    opened = show(browser, explore(engine, keep(ATTACK)), tmp_path)
    for tab in ("largest", "waste", "duplicates"):
        click(opened, f"#tab-{tab}")
    opened.find_element(By.ID, "search").send_keys("owned")

    assert opened.execute_script("return window.owned") is None
    assert opened.get_log("browser") == []
    assert opened.find_elements(By.CSS_SELECTOR, "img, iframe, object, #data ~ script ~ script") == []
    assert len(opened.find_elements(By.TAG_NAME, "script")) == 2
    assert r"/d/\x1b[2J\x1b]0;owned\x07" in captions(opened, 2)


def test_scripts_that_get_in_all_the_same_do_not_run(
    browser: webdriver.Chrome, survey: Survey, tmp_path: Path
) -> None:
    text = page(survey).replace("<noscript>", "<script>window.owned = 1</script><noscript>")
    (tmp_path / "page.html").write_text(text)

    browser.get((tmp_path / "page.html").as_uri())

    assert browser.execute_script("return window.owned") is None
    assert "Content Security Policy" in str(browser.get_log("browser"))


def test_the_page_needs_nothing_from_elsewhere(engine: Engine, keep: Keep) -> None:
    text = page(explore(engine, keep(ATTACK)))

    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", text.replace("src=x onerror=", ""))
    assert "://" not in text
    assert text.count("</script>") == 2
    assert "default-src 'none'" in text


def test_the_data_has_every_name_once_and_parents_before_children(engine: Engine, keep: Keep) -> None:
    data = document(explore(engine, keep(ATTACK)))

    assert json.loads(json.dumps(data)) == data
    assert all(parent < number for number, parent in enumerate(data["parents"]) if number)
    assert all(node < len(data["names"]) for view in data["views"] for node in view[::3])


def test_the_command_writes_the_page_and_nothing_else(run_lstore: Lstore, keep: Keep, tmp_path: Path) -> None:
    result = run_lstore("explore", "--html", str(tmp_path / "out.html"), keep(TREE))

    assert (result.status, result.out) == (0, b"")
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
