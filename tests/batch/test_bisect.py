"""``tfkernels bisect`` with real releases: the one that changed ``tf.image.resize``, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from tests.support import environments
from tests.support.commands import command, tfkernels
from tests.support.processes import ended
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.cli.app import app
from tfprovisioner.kernelspecs.install import Installed

RESIZE = """
import numpy as np
import tensorflow as tf
import tfkernels

v1 = tf.compat.v1
pixels = np.arange(48, dtype="float32").reshape(1, 4, 4, 3)
with tf.Graph().as_default(), v1.Session() as session:
    tfkernels.record("resized", session.run(tf.image.resize(pixels, [size, size])))
    tfkernels.record("sum", session.run(tf.reduce_sum(pixels)))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of the test's own, with nothing in it."""
    home = tmp_path / "home"
    monkeypatch.setenv("TFKERNELS_HOME", str(home))
    yield home
    assert left(home) == []


@pytest.fixture
def home_with_compiled(installed: dict[str, Installed], home: Path) -> Iterator[Path]:
    """The same with compiled modules, which new environments take over: bisect may delete the one that has them."""
    environments.compiled(home, [installed["tf1"]])
    (others,) = left(home)
    yield home
    shutil.rmtree(others, ignore_errors=True)


def left(home: Path) -> list[Path]:
    """Environments, and kernels of environments."""
    return [*(home / "environments").glob("*"), *(home / "batch").glob("*")]


def write(folder: Path, *cells: str) -> str:
    first = new_code_cell("size = 4", metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[first, *map(new_code_cell, cells)])
    nbformat.write(notebook, folder / "nb.ipynb")
    return str(folder / "nb.ipynb")


@pytest.mark.parametrize("bad", ["2.0.4", pytest.param("2.1.4", marks=pytest.mark.slow)])
def test_bisect_finds_the_release_that_changed_resize(bad: str, home_with_compiled: Path, tmp_path: Path) -> None:
    notebook, output = write(tmp_path, RESIZE), tmp_path / "out"
    done = tfkernels(
        "bisect", notebook, "--good", "1.15", "--bad", bad[:3], "--record", "resized", "-p", "size", "8",
        "-o", str(output), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["last_good"], found["first_bad"]) == ("1.15.5", "2.0.4")
    verdicts = {trial["release"]: trial["verdict"] for trial in found["trials"]}
    assert verdicts == {"1.15.5": "good", bad: "bad", "2.0.4": "bad"}
    assert found["difference"]["baseline"] == "1.15.5"
    assert found["difference"]["parts"][0]["baseline"] == "float32 (1, 8, 8, 3)"
    assert {path.name for path in output.iterdir()} == {
        "bisect.json", "junit.xml", "report.html", "report.json", *(f"nb-tf{release}.ipynb" for release in verdicts)
    }  # fmt: skip
    assert json.loads((output / "bisect.json").read_text()) == found


def test_an_interrupt_ends_bisect_and_leaves_nothing(home_with_compiled: Path, tmp_path: Path) -> None:
    running = tmp_path / "running"
    notebook = write(tmp_path, f"import pathlib, time\npathlib.Path({str(running)!r}).touch()\ntime.sleep(1000)")
    words = command("bisect", notebook, "--good", "1.15", "--bad", "2.0")
    with ended(subprocess.Popen(words, stderr=subprocess.PIPE, text=True)) as process:
        eventually(lambda: running.exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, said
    assert "Interrupted. The environments that were built for it were removed." in said
    home = str(home_with_compiled)
    assert not [one for one in psutil.process_iter(["cmdline"]) if home in " ".join(one.info["cmdline"] or ())]


def test_several_records_and_no_choice_is_wrong_usage(installed: dict[str, Installed], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bisect", write(tmp_path, RESIZE), "--good", "1.15", "--bad", "2.0"])
    assert done.exit_code == 2
    assert "Choose one with --record: 'resized', 'sum'" in done.stderr
    assert installed["tf1"].environment.folder.is_dir()  # it was run there, and was there before


def test_a_nonempty_output_is_left_alone(home: Path, tmp_path: Path) -> None:
    arguments = [write(tmp_path, "1"), "--good", "1.15", "--bad", "2.0", "-o", str(tmp_path)]
    assert "is not empty, and its files are not overwritten" in wrong(arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--good", "1.15", "--bad", "tf1"], "are the same release, 1.15.5"),
        (["--good", "1.15", "--bad", "1.99"], "There is no TensorFlow release '1.99'"),
        (["--good", "1.15", "--bad", "2.0", "--test", "loss <"], "is not an expression"),
        (["--good", "1.15", "--bad", "2.0", "--test", "a", "--record", "b"], "use either --record or --test"),
        (["--good", "1.15", "--bad", "2.0", "-p", "2x", "3"], "is not a parameter name"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_built(
    home: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    done = wrong([write(tmp_path, "1"), *arguments])
    assert told in done


def test_a_missing_notebook_is_wrong_usage(home: Path, tmp_path: Path) -> None:
    assert "none.ipynb" in wrong([str(tmp_path / "none.ipynb"), "--good", "1.15", "--bad", "2.0"])


def wrong(arguments: list[str]) -> str:
    """What is said on standard error, without the frame around it."""
    done = CliRunner(env={"COLUMNS": "1000", "TERMINAL_WIDTH": "1000"}).invoke(app, ["bisect", *arguments])
    assert done.exit_code == 2
    return done.stderr
