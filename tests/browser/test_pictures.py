"""The pictures of the documentation, taken from the real front ends. ``make docs`` runs this, and uses its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_live_notebook import Notebook
from tests.browser.test_picker import NAMES, SCREENSHOTS, Server, browser, page, server
from tests.support.reports import usual
from tfprovisioner.batch import report

__all__ = ["browser", "page", "server"]  # the fixtures

pytestmark = pytest.mark.slow

PICTURES = SCREENSHOTS.parent / "docs" / "pictures"

_SHARES = """%%tf1
import tensorflow.compat.v1 as tf
from ipywidgets import interact

logits = tf.constant([2.0, 1.0, 0.5, -1.0])
temperature = tf.placeholder(tf.float32)
softmax = tf.nn.softmax(logits / temperature)
session = tf.Session()
print(tf.__version__)"""

_INTERACT = """%%tf1
@interact(t=(0.1, 5.0))
def show(t=1.0):
    for share in session.run(softmax, {temperature: t}):
        print(f"{share:6.1%} ", "#" * int(60 * share))"""

_BAR = """%%tf1
from tqdm.notebook import tqdm
for step in tqdm(range(3000), desc="in TensorFlow 1"):
    session.run(softmax, {temperature: 1.0})"""


@pytest.fixture(autouse=True)
def _folder() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)


def test_picture_of_the_picker(server: Server, page: Page, installed: Any) -> None:
    page.goto(server.url("/lab"))
    for name in NAMES.values():
        expect(page.locator(f'.jp-LauncherCard[title="{name}"] img').first).to_be_visible()
    sections = page.locator(".jp-Launcher-section")
    first, second = sections.nth(0).bounding_box(), sections.nth(1).bounding_box()
    assert first is not None
    assert second is not None
    height = second["y"] + second["height"] - first["y"]
    page.screenshot(
        path=PICTURES / "picker.png",
        clip={"x": first["x"], "y": first["y"], "width": min(first["width"], 765), "height": height},
    )


def test_picture_of_widgets(server: Server, page: Page, installed: Any) -> None:
    page.set_viewport_size({"width": 1000, "height": 700})
    notebook = Notebook(page, server, "tf2", _SHARES, _INTERACT, _BAR)
    notebook.run(_SHARES, "1.15")
    notebook.run(_INTERACT, "#")
    notebook.press(_INTERACT, *["ArrowRight"] * 9)
    expect(notebook.output(_INTERACT)).to_contain_text("1.90")
    notebook.run(_BAR, "3000/3000")
    page.get_by_title("File Browser").first.click()  # closes the list of files
    page.screenshot(path=PICTURES / "widgets.png")


def test_picture_of_a_report(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1100, "height": 1160})
    written = report.write(report.make(usual(tmp_path), tmp_path), tmp_path)["report.html"]
    page.goto(written.as_uri())
    page.screenshot(path=PICTURES / "report.png")
