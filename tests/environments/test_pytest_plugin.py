"""``pytest --tf``: tests run in the environments of releases, and the outcome of each is that of one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("installed")

_TESTS = """
import os, sys, warnings
import numpy as np
import pytest
import mine
from tfkernels.testing import reference

OLD = sys.version_info < (3, 8)

@reference("tf1")
def old():
    return {"python": list(sys.version_info[:2]), "array": np.arange(3.0)}

@reference("tf1")
def broken():
    raise ValueError("no such weights")

if not OLD:
    @reference("tf1")
    def absent():
        return 1

def test_value_of_the_old_release(old):
    assert old["python"] == [3, 7] and old["array"].sum() == 3

def test_environment():
    assert mine.NAME == "mine" and (sys.prefix != sys.base_prefix)
    assert not [path for path in sys.path if "editors-of-the-user" in path]

def test_broken_reference(broken):
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    print("shown", number)
    assert number == 1 or not OLD, "two"

@pytest.mark.tf(">=2")
def test_new_only():
    warnings.warn("mine")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

def test_death():
    if OLD:
        os.kill(os.getpid(), 11)

def test_after_death(request):
    assert request.config.getoption("--mine") == "x"

if not OLD:
    def test_absent_reference(absent):
        pass
"""

_CONFTEST = """
import numpy
if "tfprovisioner" in __import__("sys").modules: raise SystemExit("not here")
def pytest_addoption(parser):
    parser.addoption("--mine")
"""


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest of the Python of this process, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "src").mkdir()
    (folder / "src" / "mine.py").write_text("NAME = 'mine'\n")
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_mine.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --mine x -n 0 --timeout 300\ntimeout = 300\n")
    return folder


def test_one_run_reports_each_test_on_each_release(library: Path) -> None:
    done = _pytest(
        library, "--tf", "tf1,tf2", "--tf-report", "out.json", "--tf-report", "out.md", "--junitxml", "j.xml"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((library / "out.json").read_text())
    old, new = report["releases"]
    assert (old["python"][:4], old["pytest"][:2]) == ("3.7.", "7.")
    assert new["pytest"].split(".") > ["8"]
    assert old["left_out"] == ["-n 0", "--timeout 300"]
    outcomes = {each["test"].partition("::")[2]: tuple(each["outcomes"].values()) for each in report["tests"]}
    assert outcomes == {
        "test_value_of_the_old_release": ("passed", "passed"),
        "test_environment": ("passed", "passed"),
        "test_broken_reference": ("error", "error"),
        "test_numbers[1]": ("passed", "passed"),
        "test_numbers[2]": ("failed", "passed"),
        "test_new_only": ("skipped", "passed"),
        "test_known": ("xfailed", "xfailed"),
        "test_death": ("failed", "passed"),
        "test_after_death": ("passed", "passed"),
        "test_absent_reference": (None, "error"),
    }
    reasons = {each["test"].partition("::")[2]: each["reasons"] for each in report["tests"]}
    assert "SIGSEGV" in reasons["test_death"]["tf1"]
    assert "UserWarning: mine" in done.stdout
    assert "ValueError: no such weights" in done.stdout
    assert "no test file that could be imported there has it" in done.stdout
    assert "shown 2" in done.stdout
    assert "FAILED test_mine.py::test_numbers[2-tf1] - AssertionError: two" in done.stdout
    assert "-n 0, --timeout 300, because its environment lacks the plugin" in done.stdout
    assert "3 failed" not in done.stdout
    assert "2 failed" in done.stdout
    junit = (library / "j.xml").read_text()
    assert all(f'name="{name}"' in junit for name in ("test_numbers[2-tf1]", "test_numbers[2-tf2]", "test_known[tf1]"))
    assert "| `test_mine.py::test_numbers[2]` | FAILED | passed |" in (library / "out.md").read_text()
    assert not list(Path(library, ".pytest_cache").glob("v/cache/lastfailed")), "the releases have caches of their own"


def test_named_test_of_one_release_runs_alone(library: Path) -> None:
    done = _pytest(library, "--tf", "tf1,tf2", "-v", "test_mine.py::test_numbers[2-tf1]")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "[tf1] [100%] FAILED test_mine.py::test_numbers[2-tf1]" in done.stdout
    assert "1 failed" in done.stdout
    assert "[tf2]" not in done.stdout


def test_reference_of_a_release_that_is_not_tested(library: Path) -> None:
    done = _pytest(library, "--tf", "tf2", "test_mine.py::test_value_of_the_old_release", "--tf-report", "one.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["release"] for one in json.loads((library / "one.json").read_text())["releases"]] == ["tf2"]


def test_broken_files_and_options_are_errors(library: Path, tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nowhere\ndef test_one(): pass\n")
    done = _pytest(tmp_path, "--tf", "tf1,tf2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ERROR test_broken.py[tf1] - ModuleNotFoundError: No module named 'nowhere'" in done.stdout
    assert "2 errors" in done.stdout
    done = _pytest(tmp_path, "--tf", "tf1", "--unknown")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "unrecognized arguments: --unknown" in done.stdout
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\naddopts = []\n")
    done = _pytest(tmp_path, "--tf", "tf1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "use [tool.pytest.ini_options] in place of [tool.pytest]" in done.stdout + done.stderr
    done = _pytest(tmp_path, "--tf", "1.99")
    assert done.returncode == 4
    assert "--tf 1.99: " in done.stderr


@pytest.mark.slow
def test_collection_alone_lists_tests_with_their_releases(library: Path) -> None:
    done = _pytest(library, "--tf", "tf1,tf2", "--collect-only", "-q", "-k", "numbers or absent")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_mine.py::test_numbers[1-tf1]\n" in done.stdout
    assert "test_mine.py::test_absent_reference[tf2]\n" in done.stdout
    assert "5 tests collected" in done.stdout
