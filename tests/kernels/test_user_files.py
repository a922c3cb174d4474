"""Our own code imports nothing from the user's folder: a ``numpy.py`` there is for the user's own ``import``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import register_plain
from tests.support.notebooks import run_cells, text
from tests.support.user_files import LOADED, imported, spoil
from tfprovisioner.kernelspecs.install import Installed

CELLS = (
    "x = [1.5]",
    "%%OTHER -i x -o y\ny = x * 2\nprint('there')",
    "%OTHER len(x)",
    "import tfkernels\ntfkernels.compare(x * 2, y).passed",
    "tfkernels.record('x', x)",
    "%tfkernels settings",
)
IPYKERNELS_OWN = {"storemagic", "psutil"}
"""A plain ipykernel imports these from the folder: an extension at the start, and a look at its children at the end."""


def shown(kernel: str, other: str, *more: str) -> list[str]:
    """What a notebook of ``kernel`` shows that uses the kernel ``other``."""
    loading = ["%load_ext tfkernels"] * (kernel == "plain")
    cells = [cell.replace("OTHER", other) for cell in (*CELLS, *more)]
    return [text(outputs) for outputs in run_cells(kernel, *loading, *cells)]


@pytest.mark.parametrize(
    ("kernel", "other"),
    [("tf1", "tf2"), pytest.param("tf2", "tf1", marks=pytest.mark.slow), ("plain", "tf1"), ("tf1", "in plain")],
)
def test_library_names_are_free_for_user_files(
    kernel: str, other: str, installed: dict[str, Installed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_plain(tmp_path, sys.executable, "-I")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    *expected, here, there = shown(kernel, other, f"print({LOADED})", f"%OTHER {LOADED}")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    log = spoil(folder, {*ast.literal_eval(here), *ast.literal_eval(there)})
    assert (folder / "numpy.py").exists()
    monkeypatch.chdir(folder)
    assert shown(kernel, other) == expected
    assert imported(log) <= IPYKERNELS_OWN


def test_only_the_users_import_gets_user_files(
    installed: dict[str, Installed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(tmp_path, ["numpy"])
    monkeypatch.chdir(tmp_path)
    ours = "import tfkernels\nprint(tfkernels.compare([1.0], [1.0]).passed)"
    (theirs,), compared = run_cells("tf1", "import numpy", ours, allow_errors=True)
    assert theirs.evalue == f"imported {tmp_path / 'numpy.py'}"
    assert text(compared) == "True\n"


@pytest.mark.parametrize("importing", ["import numpy", "%%tf2\nimport numpy"])
def test_user_files_in_place_of_libraries_are_named(
    importing: str, installed: dict[str, Installed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("mine = 1")
    monkeypatch.chdir(tmp_path)
    *_, (error,) = run_cells("tf1", importing, "%tf2 1", allow_errors=True)
    assert error.evalue == (
        f"Cannot use numpy: the file {tmp_path / 'numpy.py'} has its name and was imported instead. Rename the file, "
        f"then restart the kernel that imported it."
    )
    (tmp_path / "numpy.py").rename(tmp_path / "mine.py")
    *_, one = run_cells("tf1", importing, "%tf2 1")
    assert text(one) == "1", "and that helps"


def test_scripts_may_have_files_with_library_names(tmp_path: Path) -> None:
    log = spoil(tmp_path, ["numpy", "psutil", "jupyter_client"])
    script = tmp_path / "script.py"
    script.write_text("import tfkernels\nassert tfkernels.compare([1.0], [1.0]).passed\ntfkernels.kernel('tf1')")
    subprocess.run([sys.executable, script], check=True)
    assert not imported(log)
