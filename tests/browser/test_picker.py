"""What a user sees: the kernels in JupyterLab's picker, and a notebook that uses both, in a real browser."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.processes import ended
from tests.support.waiting import DEADLINE, eventually

NAMES = {"tf1": "TensorFlow 1.15 · Python 3.7", "tf2": "TensorFlow 2.21 · Python 3.13"}
LOGOS = {"logo-svg": "image/svg+xml", "logo-32x32": "image/png", "logo-64x64": "image/png"}
NOTEBOOK = "both.ipynb"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
CHROMIUM_OPTIONS = [
    "--no-sandbox",  # containers and root have none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=DEADLINE * 1000)  # Playwright counts in milliseconds


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    port: int
    token: str
    root: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}?token={self.token}"

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request("GET", path, headers={"Authorization": f"token {self.token}"})
            response = connection.getresponse()
            return response.status, response.getheader("Content-Type", ""), response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab of this Python, with the kernels of this Python, and with nothing of the user's."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    root = folder / "root"
    runtime = folder / "runtime"
    labconfig = folder / "config" / "labconfig"
    for path in (root, runtime, labconfig):
        path.mkdir(parents=True)
    _write_notebook(root / NOTEBOOK)
    # Its question about news would lie over the page.
    disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (labconfig / "page_config.json").write_text(json.dumps(disabled), encoding="utf-8")
    token = secrets.token_hex(16)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_"))}
    environment.update(
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_DATA_DIR=str(folder / "data"),
        JUPYTER_RUNTIME_DIR=str(runtime),
        IPYTHONDIR=str(folder / "ipython"),
    )
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={token}",
        "--LabApp.extension_manager=readonly",
        f"--MappingKernelManager.kernel_info_timeout={DEADLINE}",
    ]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=root, stdout=output, stderr=subprocess.STDOUT)
    with ended(process):
        try:
            yield _wait_until_ready(process, runtime, token, root, log)
        finally:
            process.terminate()  # it ends its kernels
            process.wait(DEADLINE)


def _wait_until_ready(process: "subprocess.Popen[bytes]", runtime: Path, token: str, root: Path, log: Path) -> Server:
    info = runtime / f"jpserver-{process.pid}.json"

    def ready() -> Server | None:
        assert process.poll() is None, f"JupyterLab did not start:\n{log.read_text(encoding='utf-8', errors='replace')}"
        with contextlib.suppress(OSError, ValueError):  # not written yet, half written, or not listening yet
            server = Server(json.loads(info.read_text(encoding="utf-8"))["port"], token, root)
            return server if server.get("/api/status")[0] == 200 else None
        return None

    started = eventually(ready)
    assert started is not None
    return started


def _write_notebook(path: Path) -> None:
    cells = [
        "%%tf1 -o version\nimport tensorflow as tf\nversion = tf.__version__\nprint('from tf1:', version)",
        "import tensorflow as tf; print('here:', tf.__version__, 'there:', version)",
        "%%tf1\ntf.nn.relu",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "tf2", "display_name": NAMES["tf2"], "language": "python"}},
    )
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. One for each module: while it is there, asyncio in this thread belongs to Playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "there is no chromium on the PATH; Debian has it: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page, which shares nothing with those of other tests."""
    with browser.new_page(viewport={"width": 1280, "height": 800}) as page:
        page.set_default_timeout(DEADLINE * 1000)
        yield page


@pytest.mark.parametrize("kernel", NAMES)
def test_server_lists_the_kernel_and_serves_its_logos(server: Server, kernel: str) -> None:
    status, _, body = server.get("/api/kernelspecs")
    assert status == 200
    listed: dict[str, Any] = json.loads(body)["kernelspecs"]
    assert kernel in listed, f"only {sorted(listed)}; register it with: tfkernels install"
    assert listed[kernel]["spec"]["display_name"] == NAMES[kernel]
    resources = listed[kernel]["resources"]
    assert set(LOGOS) <= set(resources)
    for logo, expected_type in LOGOS.items():
        status, content_type, body = server.get(resources[logo])
        assert (status, content_type.partition(";")[0]) == (200, expected_type), resources[logo]
        assert body.startswith(b"\x89PNG" if expected_type == "image/png" else b"<svg"), resources[logo]


def test_launcher_shows_both_kernels_with_their_logos(server: Server, page: Page) -> None:
    page.goto(server.url("/lab"))
    for name in NAMES.values():
        for category in ("Notebook", "Console"):
            tile = page.locator(f'.jp-LauncherCard[data-category="{category}"][title="{name}"]')
            expect(tile).to_be_visible()
            logo = tile.locator("img")
            expect(logo).to_be_visible()
            # decode() waits for the image, and fails if it cannot be loaded.
            assert logo.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 0
    screenshot(page, "picker.png")


def test_notebook_uses_both_kernels(server: Server, page: Page) -> None:
    page.goto(server.url(f"/lab/tree/{NOTEBOOK}"))
    # The status bar, not the toolbar: that says idle before there is a kernel, and cells run then are lost.
    kernel = page.get_by_role("button", name=f"{NAMES['tf2']} | Idle", exact=True)
    expect(kernel).to_be_visible()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    outputs = page.locator(".jp-Notebook .jp-CodeCell .jp-Cell-outputArea")
    expect(outputs.nth(1)).to_contain_text("there:")
    screenshot(page, "notebook.png")
    expect(outputs.nth(0)).to_have_text("from tf1: 1.15.5")
    expect(outputs.nth(1)).to_have_text("here: 2.21.0 there: 1.15.5")
    expect(outputs.nth(2)).to_contain_text("function")
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(2)
    cell.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".jp-Tooltip")).to_contain_text("rectified linear")
    page.keyboard.press("Escape")
    cell.click()  # Escape may have left the cell
    page.keyboard.press("Control+End")
    page.keyboard.press("Tab")
    expect(page.locator(".jp-Completer")).to_contain_text("relu_layer")  # TensorFlow 2 has none
    screenshot(page, "completion.png")


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / name)
