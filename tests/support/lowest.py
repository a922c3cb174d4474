"""`make test-lowest`: a ring of kernel tests with the oldest packages that pyproject.toml allows.

Environments: the lowest versions on the oldest and on the newest Python, and the packages of hosted images. In these a
kernel runs before the installation, which must not change a package of the image. ``python -m tests.support.lowest
hosted`` makes these alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from uv import find_uv_bin

from tests.support.hosted_images import IMAGES
from tfprovisioner.pythons import find

OLDEST, NEWEST = "3.10", "3.13"

TESTS = ("test_magics.py", "test_cells.py", "test_kernel.py", "test_papermill.py", "test_provisioner.py")
"""In tests/kernels."""

TOOLS = ("pytest>=8.3", "pytest-timeout>=2.3", "jupyter_kernel_test>=0.7", "jupyter_console", "matplotlib", "nbconvert")

_RUNNING = """
import sys
from jupyter_client import BlockingKernelClient, KernelManager

manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(60)
print("running", flush=True)
sys.stdin.readline()
try:
    for cell in ("%load_ext tfkernels", "%%tf1 -o answer\\nanswer = 6 * 7", "assert answer == 42"):
        reply = client.execute_interactive(cell, timeout=120)["content"]
        assert reply["status"] == "ok", (cell, reply.get("evalue"))
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
print("ok", flush=True)
"""

ROOT = Path(__file__).parents[2]


def main() -> None:
    folder, only_hosted = ROOT / "build" / "lowest", "hosted" in sys.argv
    shutil.rmtree(folder, ignore_errors=True)
    for python in () if only_hosted else (OLDEST, NEWEST):
        environment = _venv(folder / f"lowest-{python}", python)
        _pip("install", environment, "--resolution", "lowest-direct", str(ROOT))
        _ring(environment)
    for name, (python, pins) in IMAGES.items():
        _hosted(_venv(folder / name, python), pins)


def _hosted(environment: Path, pins: tuple[str, ...]) -> None:
    _pip("install", environment, *pins)
    before = _freeze(environment)
    kernel = subprocess.Popen(
        [environment / "bin" / "python", "-c", _RUNNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "running\n", "the kernel did not start"
    started = time.monotonic()
    _pip("install", environment, str(ROOT))
    changed = before - _freeze(environment)
    assert not changed, f"the installation changed {', '.join(sorted(changed))}"
    subprocess.run([environment / "bin" / "tfkernels", "install"], check=True)
    said, _ = kernel.communicate("\n", timeout=300)
    assert said == "ok\n", "%%tf1 failed in a kernel that was running before the installation"
    print(f"{environment.name}: a result of %%tf1 after {time.monotonic() - started:.0f} s", flush=True)
    _ring(environment)


def _venv(folder: Path, python: str) -> Path:
    found = next(iter(find.pythons(python)), None)
    assert found is not None, f"there is no Python {python}"
    _uv("venv", "--python", str(found.path), str(folder))
    return folder


def _ring(environment: Path) -> None:
    """The tests on the packages of an environment; what they need beside is added without a change of those."""
    _pip("check", environment)
    pins = ROOT / "build" / "lowest" / f"{environment.name}.txt"
    pins.write_text("\n".join(sorted(line for line in _freeze(environment) if "==" in line)))
    _pip("install", environment, "--constraint", str(pins), *TOOLS)
    print(f"{environment.name}: {', '.join(sorted(_freeze(environment)))}", flush=True)
    started = time.monotonic()
    tests = [str(ROOT / "tests" / "kernels" / name) for name in TESTS]
    # Warnings of old packages on new Pythons are not errors of ours.
    subprocess.run(
        [environment / "bin" / "python", "-m", "pytest", "-q", "-W", "default", *tests],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    print(f"{environment.name}: passed in {time.monotonic() - started:.0f} s", flush=True)


def _freeze(environment: Path) -> set[str]:
    done = subprocess.run(
        [find_uv_bin(), "pip", "freeze", "--quiet", "--python", environment / "bin" / "python"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines())


def _pip(command: str, environment: Path, *arguments: str) -> None:
    _uv("pip", command, "--python", str(environment / "bin" / "python"), *arguments)


def _uv(*arguments: str) -> None:
    subprocess.run([find_uv_bin(), "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main()
