"""The report of a batch in a real browser: on a screen and on a phone, by day and by night, and on its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.test_comparison_page import CONTRASTS
from tests.browser.test_picker import SCREENSHOTS, browser, page
from tests.support.reports import every_release, usual
from tests.unit.test_report_documents import hostile
from tfprovisioner.batch import report

__all__ = ["browser", "page"]  # the fixtures

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


LINES = """each => {
  const range = document.createRange()
  range.selectNode(each.firstChild)
  return range.getClientRects().length
}"""
"""Lines that the text of an element takes."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return report.write(report.make(usual(folder), folder), folder)["report.html"]


def opened(page: Page, path: Path) -> list[str]:
    """Loads the page; what it asks for besides."""
    requests: list[str] = []

    def note(route: Route) -> None:
        if route.request.url.startswith(path.as_uri()):
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    page.route("**/*", note)
    page.goto(path.as_uri())
    return requests


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_is_readable_everywhere(page: Page, written: Path, theme: str, size: dict[str, int]) -> None:
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    assert opened(page, written) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (theme == "light")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{theme}-{size['width']}.png", full_page=True)
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    contrasts = page.evaluate(CONTRASTS.replace(".tfk *", "body *"))
    assert len(contrasts) > 200
    for contrast, text in contrasts:
        assert contrast >= 4.5, text  # WCAG 2 AA


def test_it_says_first_whether_all_is_well(page: Page, written: Path) -> None:
    opened(page, written)
    said = "✗ 1 of 8 runs failed ≠ 4 of 8 results differ from tf1, 1 not compared on every kernel"
    expect(page.locator("h1")).to_have_text(said)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="resize", exact=True))
    different = "≠ different error 0.329 passes with atol 0.33"
    expect(row.get_by_role("cell")).to_have_text(["float32 (2, 32, 32, 3)", "= equal", different, different])
    told = "Traceback (most recent call last)\n  Cell In[4], line 1\nAttributeError: no 'Session'"
    expect(page.locator("details.failure pre")).to_have_text(["cell_3 = 3", told])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_many_kernels_have_an_overview_without_scrolling(page: Page, tmp_path: Path, theme: str) -> None:
    folder = tmp_path / "report"
    path = report.write(report.make(every_release(folder), folder, baseline="tf1.15"), folder)["report.html"]
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    opened(page, path)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="resize", exact=True))
    expect(row).to_have_count(1)
    expect(row.get_by_role("cell")).to_have_text(["float32 (6,)", "= equal 1.0-1.14 ≠ different 2.0-2.21: 0.5"])
    row.get_by_role("link", name="different").click()
    expect(page.locator("section section").filter(has=page.locator(":target"))).to_be_in_viewport()
    for width in (1280, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=SCREENSHOTS / f"report-many-{theme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for contrast, text in page.evaluate(CONTRASTS.replace(".tfk *", ".overview *")):
        assert contrast >= 4.5, text
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_text("A column for each of the 38 kernels").click()
    expect(page.locator(".matrix thead th")).to_have_count(38)
    names = page.get_by_text("parity_matrix.ipynb", exact=True).and_(page.locator("th span"))
    expect(names).to_have_count(2)
    for name in names.all():
        assert name.evaluate(LINES) == 1


def test_columns_that_do_not_fit_are_stacked(page: Page, written: Path) -> None:
    opened(page, written)
    for width in (1280, 900, 750, 390):
        page.set_viewport_size({"width": width, "height": 900})
        matrix = page.locator(".wide").first
        assert matrix.evaluate("each => each.scrollWidth <= each.clientWidth"), width


def test_matrix_cells_link_to_comparisons(page: Page, written: Path) -> None:
    opened(page, written)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="weights", exact=True))
    link = row.get_by_role("link").first
    target = page.locator("section section").filter(has=page.locator(str(link.get_attribute("href"))))
    expect(target).to_be_hidden()
    link.click()
    expect(target).to_be_visible()
    expect(target).to_be_in_viewport()
    expect(target).to_contain_text("2 of 4 parts differ between tf1 and tf2.4; the first is dense_2")
    later = row.get_by_role("link").last
    later.click()
    same = page.locator("section section").filter(has=page.locator(str(later.get_attribute("href"))))
    expect(same).to_contain_text("The same values, bit for bit, in all 3; here those of tf2.4.")
    failed = page.get_by_role("link", name="failed").first
    failed.click()
    expect(page.locator(str(failed.get_attribute("href")))).to_be_in_viewport()


def test_links_lead_to_the_executed_notebooks(page: Page, written: Path) -> None:
    opened(page, written)
    for name in ("ops-tf1", "train-tf2"):
        href = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        assert href == f"./{name}.ipynb"
        assert (written.parent / href).is_file()


def test_nothing_runs_and_nothing_breaks_out(page: Page, tmp_path: Path) -> None:
    path = report.write(report.make(hostile(tmp_path), tmp_path), tmp_path)["report.html"]
    page.set_viewport_size({"width": NARROW["width"], "height": NARROW["height"]})
    assert opened(page, path) == []
    open_all(page)
    assert page.title() != "run"
    assert page.locator("script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    expect(page.locator("details.failure")).to_contain_text("<script>document.title = 'run'</script>")
    for link in page.get_by_role("link").all():
        assert str(link.get_attribute("href")).startswith(("#", "./"))
