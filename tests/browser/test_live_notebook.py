"""A notebook whose cells run elsewhere, used as users do in a real JupyterLab: widgets, questions, stop button."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_picker import Server, browser, page, screenshot, server
from tests.kernels.test_magics import load

__all__ = ["browser", "page", "server"]  # the fixtures

WIDGETS = """
import time
import ipywidgets as widgets
from IPython.display import clear_output, display

steps = widgets.IntSlider(3, description="steps")
log = widgets.Output()

@log.capture()
def moved(change):
    print("tf1 has", change["new"])

steps.observe(moved, "value")
display(steps, log)
"""

INTERACT = """
@widgets.interact(n=(0, 10))
def square(n=3):
    time.sleep(0.05)
    print(n, "squared is", n * n)
"""

BAR = """
from tqdm.notebook import tqdm
for epoch in tqdm(range(20), desc="epochs"):
    time.sleep(0.01)
"""

ON_THE_SPOT = """
handle = display("old", display_id=True)
for step in range(3):
    clear_output(wait=True)
    print("step", step)
handle = display("old", display_id=True)
handle.update("new")
"""

LOOP = """
import tensorflow as tf
with tf.Session() as session:
    product = tf.matmul(tf.ones((500, 500)), tf.ones((500, 500)))
    session.run(product)
    print("begun")
    while True:
        session.run(product)
"""

BUTTON = """
@log.capture()
def train(button):
    print("training")
    time.sleep(1000)

button = widgets.Button(description="train")
button.on_click(train)
button
"""


class Notebook:
    """A notebook in the browser."""

    def __init__(self, page: Page, server: Server, kernel: str, *sources: str) -> None:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
        nbformat.write(made, server.root / f"{kernel}.ipynb")
        self._page = page
        self._cells = page.locator(".jp-Notebook .jp-CodeCell")
        self._sources = sources
        # A workspace of its own: the usual one would open the notebooks of other tests, too.
        self._url = server.url(f"/lab/workspaces/{kernel}/tree/{kernel}.ipynb")
        self.open()

    def open(self) -> None:
        self._page.goto(self._url)
        expect(self._page.get_by_role("button", name="| Idle")).to_be_visible()

    def cell(self, source: str) -> Locator:
        return self._cells.nth(self._sources.index(source))

    def output(self, source: str) -> Locator:
        return self.cell(source).locator(".jp-Cell-outputArea").first

    def run(self, source: str, *texts: str) -> Locator:
        """Runs a cell, and waits until its output contains these; returns its output."""
        self.cell(source).locator(".jp-InputPrompt").click()
        self._page.keyboard.press("Control+Enter")
        for text in texts:
            expect(self.output(source)).to_contain_text(text)
        return self.output(source)

    def wait(self, source: str) -> None:
        """Until a cell has ended."""
        expect(self.cell(source).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))

    def answer(self, source: str, text: str) -> None:
        box = self.output(source).locator("input.jp-Stdin-input")
        box.fill(text)
        box.press("Enter")

    def stop(self) -> None:
        self._page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]').first.click()

    def press(self, source: str, *keys: str) -> None:
        """Keys for the slider of a cell."""
        self.output(source).locator(".noUi-handle").focus()
        for key in keys:
            self._page.keyboard.press(key)

    def save(self) -> None:
        self._page.keyboard.press("Control+s")
        expect(self._page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)


def there(code: str) -> str:
    return f"%%tf1\n{code}"


# What an old ipykernel sends is in test_widgets and test_background_magics, too.
@pytest.mark.parametrize("here", ["python3", pytest.param("tf1", marks=pytest.mark.slow)])
def test_a_notebook_whose_cells_run_elsewhere(server: Server, page: Page, installed: Any, here: str) -> None:
    magics, local = load(here) or ["pass"], "6 * 7"
    value, moved = "%tf1 steps.value", there("steps.value = 42")
    question, sleep = there("print('hello', input('who? '))"), there("print('asleep')\ntime.sleep(1000)")
    late, end = "%%tf1 --background\ntime.sleep(1)\nprint('late')", "%tfkernels stop tf1"
    cells = [there(code) for code in (WIDGETS, INTERACT, BAR, ON_THE_SPOT, LOOP, BUTTON)]
    widgets, interact, bar, spot, loop, button = cells
    notebook = Notebook(
        page, server, here, *magics, widgets, value, moved, interact, bar, question, spot, sleep, loop, late, local,
        button, end,
    )  # fmt: skip
    notebook.run(magics[0])

    shown = notebook.run(widgets, "steps")
    notebook.press(widgets, "ArrowRight", "ArrowRight")
    expect(shown).to_contain_text("tf1 has 5")
    notebook.run(value, "5")
    notebook.run(moved)
    expect(shown.locator(".widget-readout")).to_have_text("42")
    expect(shown).to_contain_text("tf1 has 42")

    results = notebook.run(interact, "3 squared is 9")
    notebook.press(interact, *["ArrowRight"] * 5)
    expect(results).to_contain_text("8 squared is 64")
    expect(notebook.run(bar, "20/20").locator(".progress-bar-success")).to_be_visible()

    notebook.run(question, "who?")
    notebook.answer(question, "world")
    expect(notebook.output(question)).to_contain_text("hello world")
    expect(notebook.run(spot, "new")).to_contain_text(re.compile("^step 2.*'new'", re.DOTALL))

    for endless, begun in ((sleep, "asleep"), (loop, "begun")):
        if endless is loop and here != "python3":
            continue  # once is enough: it imports TensorFlow
        notebook.run(endless, begun)
        notebook.stop()
        expect(notebook.output(endless)).to_contain_text("KeyboardInterrupt")
        notebook.wait(endless)
    notebook.run(value, "42")

    notebook.run(late)
    notebook.run(local, "42")
    expect(notebook.output(late)).to_contain_text("late")

    notebook.run(button).get_by_role("button", name="train").click()
    expect(shown).to_contain_text("training")
    notebook.stop()
    notebook.run(value, "42")

    screenshot(page, f"live-{here}.png")
    notebook.save()
    notebook.open()
    expect(shown.locator(".widget-readout")).to_have_text("42")
    notebook.press(widgets, "ArrowLeft")
    expect(shown).to_contain_text("tf1 has 41")
    notebook.run(end, "not running")
    expect(notebook.output(button).get_by_role("button", name="train")).to_be_disabled()
