"""The documentation site in a real browser: on a screen and on a phone, by day and by night, and on its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

import tfkernels
from tests.browser.test_comparison_page import CONTRASTS
from tests.browser.test_picker import SCREENSHOTS, browser, page
from tests.browser.test_report_page import NARROW, WIDE

__all__ = ["browser", "page"]  # the fixtures

_ROOT = Path(__file__).parents[2]
_PAGES = ("index", "how-to/pass-values", "reference/commands", "reference/python-api", "notebooks/compare_tf1_tf2")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """All pages, built with warnings as errors and without outputs, on a server of this machine."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(_ROOT / "docs" / "build.py"), "--no-execute", "--site", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(page: Page, site: str, path: str = "") -> list[str]:
    """Loads a page; what it asks other servers for."""
    elsewhere: list[str] = []

    def note(route: Route) -> None:
        if route.request.url.startswith(site):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    page.route("**/*", note)
    page.goto(f"{site}/{path}")
    return elsewhere


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_are_readable_everywhere(page: Page, site: str, theme: str, size: dict[str, int]) -> None:
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name in _PAGES:
        assert opened(page, site, f"{tfkernels.__version__}/{name}.html") == []
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        page.screenshot(path=SCREENSHOTS / f"site-{name.replace('/', '-')}-{theme}-{size['width']}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        contrasts = page.evaluate(CONTRASTS.replace(".tfk *", "article.bd-article *"))
        assert len(contrasts) > 10, name
        assert [each for each in contrasts if each[0] < 4.5] == [], name  # WCAG 2 AA


def test_the_search_finds_a_page(page: Page, site: str) -> None:
    opened(page, site)
    page.wait_for_url(f"**/{tfkernels.__version__}/index.html")  # the newest version
    expect(page.locator(".version-switcher__button").first).to_have_text(tfkernels.__version__)
    page.goto(f"{site}/{tfkernels.__version__}/search.html?q=first_difference")
    expect(page.locator("#search-results").get_by_role("link", name="Python", exact=True)).to_be_visible()
