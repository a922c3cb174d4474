"""Documents for programs are as their schemas say: no name is missing, and none is untold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.reports import every_release, usual
from tests.support.schemas import problems
from tfkernels.comparison import compare
from tfprovisioner.batch import report
from tfprovisioner.kernelspecs.listing import KernelRow, ReleaseRow
from tfprovisioner.notebook_metadata.notebook_file import FORMAT
from tfprovisioner.notebook_metadata.pinned_kernel import PinnedKernel


def test_reports_of_batches(tmp_path: Path) -> None:
    document = report.make(usual(tmp_path / "a"), tmp_path).document
    assert problems("report", document) == []
    assert problems("report", report.make(every_release(tmp_path / "b"), tmp_path, baseline="tf1.15").document) == []
    assert problems("report", {**document, "untold": 1}), "a new name fails"
    del document["headline"]
    assert problems("report", document), "a missing one, too"


def test_comparisons() -> None:
    a = {"w": np.ones(3, "float32"), "text": "a", "only here": 1}
    b = {"w": np.array([1, np.nan, 2], "float32"), "text": "b"}
    assert problems("comparison", compare(a, b).to_dict()) == []


def test_metadata_of_notebooks() -> None:
    pinned = PinnedKernel("tf2", "2.21.0", "3.13", "linux-x86_64", "0" * 16, "0" * 64, "0.1.0", "eJw", changes=("six",))
    assert problems("notebook", {"format": FORMAT, "kernel": pinned.to_json()}) == []
    assert problems("notebook", {"format": FORMAT, "kernel": {**pinned.to_json(), "sha256": "x"}})


def test_kernels_and_releases() -> None:
    kernel = KernelRow("tf2", "TensorFlow 2.21", "2.21.0", "3.13.0", "uv", None, "ok", "/environment", "/kernelspec")
    release = ReleaseRow("2.21.0", "2.21", None, ("3.13",), ("3.13",), (), True, "Python 3.13", "found")
    assert problems("list", [kernel]) == []
    assert problems("releases", [release]) == []
