"""A comparison in a real browser, on the light and the dark page that nbconvert makes of a notebook."""

from __future__ import annotations

from typing import Any

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, Route, expect

from tests.browser.test_picker import browser, page
from tfkernels.comparison import Comparison, compare

__all__ = ["browser", "page"]  # the fixtures

HOSTILE = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'>"

CONTRASTS = """() => {
  const parse = colour => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] + below[i] * (1 - top[3]));
  const light = colour => {
    const [r, g, b] = colour.map(value => value / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll('.tfk *')) {
    const own = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!own || !element.checkVisibility() || ['STYLE', 'title'].includes(element.tagName)) continue;
    const above = [];
    for (let node = element; node; node = node.parentElement) above.unshift(getComputedStyle(node));
    let background = [255, 255, 255], opacity = 1;
    for (const style of above) {
      background = over(parse(style.backgroundColor), background);
      opacity *= Number(style.opacity);
    }
    const style = above[above.length - 1];
    const colour = parse(element.tagName === 'text' ? style.fill : style.color);
    const ink = over([...colour.slice(0, 3), colour[3] * opacity], background);
    const [one, two] = [light(ink), light(background)].sort((a, b) => b - a);
    found.push([(one + 0.05) / (two + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


def comparison() -> Comparison:
    """With a difference in an image, a row of every verdict, and names that mean harm."""
    image = np.random.RandomState(0).normal(size=(2, 32, 32, 3)).astype("float32")
    wrong = image * np.float32(1 + 1e-7)
    wrong[1, 8:12, 9:20] += np.float32(1e-2)
    one = {"same": image, "near": image, "image": image, "gone": 1, HOSTILE: HOSTILE}
    two = {"same": image, "near": image * np.float32(1 + 1e-7), "image": wrong, "new": 1, HOSTILE: HOSTILE + "x"}
    return compare(one, two, names=("tf1", "tf2"))


def exported(theme: str) -> str:
    """The comparison as the output of a cell, as a page of its own."""
    data: dict[str, Any] = {"text/html": comparison()._repr_html_()}
    cell = nbformat.v4.new_code_cell("compare(one, two)", outputs=[nbformat.v4.new_output("display_data", data)])
    exporter = HTMLExporter(theme=theme)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    return str(body)


def test_nothing_runs_and_nothing_is_fetched(page: Page) -> None:
    requests: list[str] = []

    def refuse(route: Route) -> None:
        requests.append(route.request.url)
        route.abort()

    page.route("**/*", refuse)
    page.set_content(f"<title>quiet</title>{comparison()._repr_html_()}")
    assert page.title() == "quiet"
    assert page.locator(".tfk script").count() == 0
    expect(page.locator(".tfk")).to_contain_text("<script>document.title = 'run'</script>")
    assert [url for url in requests if not url.startswith("data:")] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_readable_in_both_themes(page: Page, theme: str) -> None:
    page.route("http*://**", lambda route: route.abort())  # nbconvert's own page asks for MathJax
    page.set_content(exported(theme))
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (theme == "light")
    for row in page.locator(".tfk summary").all():
        if row.locator("..").get_attribute("open") is None:
            row.click()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    for contrast, text in contrasts:
        assert contrast >= 4.5, text  # WCAG 2 AA


def test_rows_open_and_stay_within_a_narrow_page(page: Page) -> None:
    page.route("http*://**", lambda route: route.abort())
    page.set_viewport_size({"width": 600, "height": 900})
    page.set_content(exported("light"))
    first = page.locator(".tfk details").nth(2)
    expect(first.locator("dl")).to_be_visible()  # the first difference is open
    expect(first.locator("svg")).to_have_count(2)
    assert first.locator("img").evaluate("async image => { await image.decode(); return image.naturalWidth; }") == 32
    second = page.locator(".tfk details").nth(1)
    expect(second.locator("dl")).to_be_hidden()
    second.locator("summary").click()
    expect(second.locator("dl")).to_be_visible()
    inside = "element => element.scrollWidth <= element.clientWidth + 1"
    assert page.locator(".tfk").evaluate(inside)
    for told in page.locator(".tfk .tfk-facts:visible").all():
        assert told.evaluate(inside)
        box, frame = told.bounding_box(), page.locator(".tfk .tfk-scroll").bounding_box()
        assert box
        assert frame
        assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
