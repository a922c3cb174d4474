"""Tests of the codec and the comparison again, under the Pythons of the kernels: TensorFlow's old ones, the newest."""

import os
import subprocess
from pathlib import Path

import findpython
import pytest
from uv import find_uv_bin

_KERNELS = Path(__file__).parents[2] / "kernels"


@pytest.mark.parametrize(
    ("tests", "version", "packages"),
    [
        ("test_codec.py", "3.6", "numpy,pandas,scipy"),
        ("test_codec.py", "3.7", "numpy,pandas,scipy"),
        ("test_codec.py", "3.13", "numpy,pandas,scipy"),
        ("test_comparison.py", "3.7", "numpy==1.18.*"),
        ("test_comparison.py", "3.13", "numpy,ml_dtypes"),
    ],
)
def test_again(tests: str, version: str, packages: str, tmp_path: Path) -> None:
    major, minor = map(int, version.split("."))
    found = [python for python in findpython.find_all(major, minor) if not python.freethreaded]
    if not found and version == "3.6":
        pytest.skip("no Python 3.6 here: what the other side of a magic needs was not tried on it")
    python = str(found[0].interpreter) if found else version
    done = subprocess.run(
        [find_uv_bin(), "run", "--quiet", "--no-project", "--python", python, "--with", f"{packages},hypothesis,pytest",
         "python", "-m", "pytest", "-q", "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider",
         str(Path(__file__).with_name(tests))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(_KERNELS)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
