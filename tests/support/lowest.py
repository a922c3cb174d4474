"""`make test-lowest`: a ring of kernel tests with the oldest packages that pyproject.toml allows.

Three environments: the lowest versions on the oldest and on the newest Python, and a hosted image's pins. In the
last one a kernel runs before the installation, which must not change a package of the image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from uv import find_uv_bin

from tfprovisioner.pythons import find

OLDEST, NEWEST = "3.10", "3.13"

TESTS = ("test_magics.py", "test_cells.py", "test_kernel.py", "test_papermill.py", "test_provisioner.py")
"""In tests/kernels."""

TOOLS = ("pytest>=8.3", "pytest-timeout>=2.3", "jupyter_kernel_test>=0.7", "jupyter_console", "matplotlib", "nbconvert")

HOSTED = (
    # Jupyter's packages as hosted images pin them
    "ipykernel==6.17.1", "ipython==7.34.0", "jupyter_client==7.4.9", "jupyter_core==5.1.3", "nbclient==0.5.13",
    "nbformat==5.7.1", "traitlets==5.7.1", "pyzmq==24.0.1", "tornado==6.2", "numpy==1.23.5", "packaging==23.1",
    "platformdirs==4.3.6", "psutil==5.9.5", "rich==13.7.1", "typer==0.15.4", "filelock==3.21.0",
)  # fmt: skip

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
    folder = ROOT / "build" / "lowest"
    shutil.rmtree(folder, ignore_errors=True)
    for python in (OLDEST, NEWEST):
        environment = _venv(folder / f"lowest-{python}", python)
        _pip("install", environment, "--resolution", "lowest-direct", str(ROOT))
        _ring(environment)
    _hosted(_venv(folder / "hosted", OLDEST))


def _hosted(environment: Path) -> None:
    _pip("install", environment, *HOSTED)
    before = _freeze(environment)
    kernel = subprocess.Popen(
        [environment / "bin" / "python", "-c", _RUNNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "running\n", "the kernel did not start"
    _pip("install", environment, str(ROOT))
    changed = before - _freeze(environment)
    assert not changed, f"the installation changed {', '.join(sorted(changed))}"
    subprocess.run([environment / "bin" / "tfkernels", "install"], check=True)
    said, _ = kernel.communicate("\n", timeout=300)
    assert said == "ok\n", "%%tf1 failed in a kernel that was running before the installation"
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
        [environment / "bin" / "python", "-m", "pytest", "-q", "-W", "default", *sys.argv[1:], *tests],
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
