"""The program of a bundle, on a machine that has nothing: first tfkernels, then the kernels."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from uv import find_uv_bin

import tfkernels
from tests.support import commands, package_index
from tests.support.bundles import without_network
from tests.support.package_index import Index
from tfprovisioner.bundles import own_wheel
from tfprovisioner.pythons import find

Command = Callable[..., tuple[int, str, str]]


_METADATA = f"Metadata-Version: 2.1\nName: tfkernels\nVersion: {tfkernels.__version__}\nRequires-Dist: uv\n"


def test_its_program_installs_tfkernels_where_nothing_is(
    small: Index, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"

    def make(folder: Path, say: object) -> Path:
        package_index.wheel(
            small.folder, "uv", "0.0", {"uv-0.0.data/scripts/uv": Path(find_uv_bin()).read_bytes(), "uv.py": ""}
        )
        needs = {f"tfkernels-{tfkernels.__version__}.dist-info/METADATA": _METADATA}
        return package_index.wheel(folder, "tfkernels", tfkernels.__version__, {"tfkernels_is_here.py": "", **needs})

    monkeypatch.setattr(own_wheel, "make", make)
    options = ["--index", small.url, "--no-pythons", "--output", str(place / "tf.bundle")]
    code, _, told = command("bundle", "tf1", *options, "--tfkernels-on", here)
    assert code == 0, told
    (place / "odd 'place'").mkdir()
    shutil.copy(place / "tf.bundle", place / "odd 'place'" / "$b")
    shown = without_network(sys.executable, "$b", cwd=place / "odd 'place'")
    line = next(line for line in shown.stdout.splitlines() if line.startswith("  python3 "))
    assert shlex.split(line) == ["python3", str(place / "odd 'place'" / "$b"), "ENVIRONMENT"]
    shown = without_network(sys.executable, "tf.bundle", cwd=place)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "TensorFlow 1.15.5, Python 3.7" in shown.stdout
    assert f"python3 {place}/tf.bundle ENVIRONMENT" in shown.stdout
    for _ in range(2):  # safe to repeat
        done = without_network(sys.executable, "tf.bundle", "new", cwd=place)
        assert done.returncode == 0, done.stderr
    assert f"{place}/new/bin/tfkernels install --bundle {place}/tf.bundle" in done.stdout
    script = "import tfkernels_is_here, sys; print(sys.prefix)"
    assert without_network("new/bin/python", "-c", script, cwd=place).stdout.strip() == str(place / "new")
    assert sorted(path.name for path in place.iterdir() if "tmp" in path.name) == []

    old = next((one for one in find.pythons() if one.numbers[:2] in ([3, 6], [3, 7])), None)
    if old is not None:
        done = without_network(old.path, "tf.bundle", cwd=place)
        assert done.stderr == "error: this bundle needs Python 3.8 or newer. Run it with another python3.\n"
    folder = place / "unpacked"
    with zipfile.ZipFile(place / "tf.bundle") as archive:
        archive.extractall(folder)
        manifest = json.loads(archive.read("manifest.json"))
    assert without_network(sys.executable, folder, "other", cwd=place).returncode == 0
    (folder / "manifest.json").write_text(json.dumps({**manifest, "own_pythons": ["3.99"]}))
    done = without_network(sys.executable, folder, "third", cwd=place)
    assert done.returncode == 1
    assert f"on Python 3.99, and this is Python {here}. Run it with such a Python: python3.99" in done.stderr
    (folder / "manifest.json").write_text(json.dumps({**manifest, "platform": "macos-arm64"}))
    done = without_network(sys.executable, folder, "third", cwd=place)
    assert done.returncode == 1
    assert "is for macos-arm64" in done.stderr
    assert not (place / "third").exists()


def test_the_wheel_of_an_installed_tfkernels_is_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was not installed from a checkout: made of the installed files."""
    files = {
        "tfkernels/__init__.py": "x = 1\n",
        f"tfkernels-{tfkernels.__version__}.dist-info/entry_points.txt": "[a]\n",
    }
    first = package_index.wheel(tmp_path, "tfkernels", tfkernels.__version__, files)
    command = [find_uv_bin(), "pip", "install", "--quiet", "--offline", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*command, "--python", sys.executable, str(first)], check=True)
    installed = next(iter(distributions(name="tfkernels", path=[str(tmp_path / "site")])))
    monkeypatch.setattr(own_wheel, "distribution", lambda name: installed)
    (tmp_path / "again").mkdir()
    again = own_wheel.make(tmp_path / "again", lambda line: None)

    def content(path: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}

    assert again.name == first.name
    assert content(again) == content(first)


_MAGIC = """
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
cells = ["%load_ext tfkernels", "%%tf1.15 -o version\\nimport tensorflow\\nversion = tensorflow.__version__"]
cells += ["import tensorflow; print(version, tensorflow.__version__)"]
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
notebook.metadata["kernelspec"] = {"name": "tf2.21", "display_name": "", "language": "python"}
NotebookClient(notebook, timeout=300, startup_timeout=300).execute()
print(notebook.cells[-1].outputs[0].text)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_nothing_to_a_cell_in_both_kernels(tmp_path: Path) -> None:
    """The README's way, with the real TensorFlow 1.15 and 2.21: 600 MB are downloaded."""
    arguments = [
        "bundle",
        "1.15",
        "2.21",
        "--with",
        "matplotlib",
        "--no-pythons",
        "--output",
        str(tmp_path / "tf.bundle"),
    ]
    made = subprocess.run(commands.command(*arguments), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    size = (tmp_path / "tf.bundle").stat().st_size
    assert size < 600_000_000
    root = {"PYENV_ROOT": str(Path.home() / ".pyenv")} if (Path.home() / ".pyenv").is_dir() else {}
    done = without_network(sys.executable, "tf.bundle", "env", cwd=tmp_path, **root)
    assert done.returncode == 0, done.stderr
    started = time.monotonic()
    done = without_network("env/bin/tfkernels", "install", "--bundle", "tf.bundle", cwd=tmp_path, **root)
    print(f"{size / 1e6:.0f} MB, installed in {time.monotonic() - started:.0f} s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": installed. ") == 2
    run = without_network("env/bin/python", "-c", _MAGIC, cwd=tmp_path, **root)
    assert "1.15.5 2.21.0" in run.stdout, run.stderr
