"""The results of ``pytest --tf``: the outcome of a test from its phases, and the reports for programs and people."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.testing import marker, references
from tfprovisioner.environments import pytest_packages
from tfprovisioner.kernelspecs import gc
from tfprovisioner.pytest_plugin import reports, results, summary
from tfprovisioner.pytest_plugin.releases import Release
from tfprovisioner.pytest_plugin.results import OfRelease


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([("setup", "passed", False), ("call", "passed", False), ("teardown", "passed", False)], "passed"),
        ([("setup", "passed", False), ("call", "failed", False), ("teardown", "passed", False)], "failed"),
        ([("setup", "failed", False), ("teardown", "passed", False)], "error"),
        ([("setup", "passed", False), ("call", "passed", False), ("teardown", "failed", False)], "error"),
        ([("setup", "skipped", False), ("teardown", "passed", False)], "skipped"),
        ([("setup", "passed", False), ("call", "skipped", True), ("teardown", "passed", False)], "xfailed"),
        ([("setup", "passed", False), ("call", "passed", True), ("teardown", "passed", False)], "xpassed"),
    ],
)
def test_worst_phase_is_the_outcome(phases: list[tuple[str, str, bool]], outcome: str) -> None:
    result = OfRelease(Release("2.4", "2.4.4"))
    for when, what, xfail in phases:
        result.note("test", when, what, xfail, "")
    assert result.outcomes == {"test": outcome}


def test_table_shows_tests_that_differ_only() -> None:
    old, new = OfRelease(Release("1.15", "1.15.5")), OfRelease(Release("2.4", "2.4.4"))
    for result, outcome in ((old, "passed"), (new, "failed")):
        result.note("a.py::test_same", "call", "passed", False, "")
        result.note("a.py::test_other", "call", outcome, False, "no placeholder" if outcome == "failed" else "")
    new.note("a.py::test_new", "call", "passed", False, "")
    new.problems.append("b.py: No module named 'b'")
    text = summary.markdown([old, new])
    assert "| `a.py::test_other` | passed | FAILED |" in text
    assert "| `a.py::test_new` | - | passed |" in text
    assert "test_same" not in text
    assert "- 2.4: b.py: No module named 'b'" in text
    rows = {row["test"]: row for row in results.to_json([old, new])["tests"]}
    assert rows["a.py::test_new"]["outcomes"] == {"1.15": None, "2.4": "passed"}
    assert rows["a.py::test_other"]["reasons"] == {"2.4": "no placeholder"}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, ""),
        ({"skipped": ["a.py", 3, "Skipped: no GPU"]}, "no GPU"),
        ({"text": "…", "crash": ["a.py", 3, "Exception: no\nmore"]}, "Exception: no"),
        ({"text": "a.py:1: in <module>\nE   ImportError: b", "crash": None}, "ImportError: b"),
        ({"text": "", "crash": None}, ""),
    ],
)
def test_reason_is_one_line(failure: dict[str, Any] | None, reason: str) -> None:
    assert reports.reason({"failure": failure}) == reason


def _item(*arguments: object) -> Any:
    added: list[Any] = []
    mark = SimpleNamespace(args=arguments)
    return SimpleNamespace(nodeid="a.py::t", iter_markers=lambda _name: [mark], add_marker=added.append, added=added)


def test_marker_skips_other_releases() -> None:
    item, other, early = _item(">=1.15,<2"), _item(">=2"), _item("<2.5")
    marker.skip_other_releases([item, other, early], "1.15.5")
    assert not item.added
    assert not early.added
    assert other.added[0].kwargs["reason"] == "for TensorFlow >=2, this is 1.15.5"


@pytest.mark.parametrize("arguments", [(), ("two",), (2,), (">1", "<2")])
def test_bad_marker_is_named(arguments: tuple[object, ...]) -> None:
    with pytest.raises(pytest.UsageError, match=r"a\.py::t: the marker tf\(.*\) is not valid"):
        marker.skip_other_releases([_item(*arguments)], "1.15.5")


def test_reference_is_computed_once_or_its_error_is_shown(tmp_path: Path) -> None:
    computed = []

    def weights() -> list[float]:
        computed.append(1)
        return [1.5, 2.0]

    def bad() -> object:
        return object()

    def wrong() -> None:
        raise ValueError("no file")

    asked: list[tuple[str, str]] = []

    def of_another(release: str, key: str) -> None:
        asked.append((release, key))
        references.fail(str(tmp_path), key, "its process ended")

    own = references.Values(str(tmp_path), "1.15", "1.15.5", of_another)
    other = references.Values(str(tmp_path), "2.4", "2.4.4", of_another)
    one = references.Reference("1.15", weights)
    assert own.get(one) == other.get(one) == [1.5, 2.0]
    assert (computed, asked) == ([1], [])
    with pytest.raises(references.ReferenceFailed, match="cannot be passed to another release"):
        own.get(references.Reference("1.15.5", bad))
    with pytest.raises(references.ReferenceFailed, match="ValueError: no file"):
        own.get(references.Reference("1", wrong))
    with pytest.raises(references.ReferenceFailed, match=r"wrong was not computed in TensorFlow 2\.11: its process"):
        own.get(references.Reference("2.11", wrong))
    assert [release for release, _ in asked] == ["2.11"]


def test_gc_deletes_pytest_of_environments_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path / "home"))
    for name in ("there", "gone"):
        with pytest_packages.FOLDERS.built(f"pytest-{name}") as folder:
            pytest_packages.FOLDERS.complete(folder, {"environment": str(tmp_path / name)})
    (tmp_path / "there").mkdir()
    assert _collected() == ["pytest of an environment that is gone"]
    assert [path.name.partition(".")[0] for path in pytest_packages.FOLDERS.every()] == ["pytest-there"]
    old = time.time() - 40 * 24 * 3600
    (kept,) = pytest_packages.FOLDERS.every()
    os.utime(kept / "packages.json", (old, old))
    assert _collected() == ["nobody tested in its environment for a month"]


def _collected() -> list[str]:
    """Why each folder with pytest was deleted."""
    return [item.why for item in gc.collect() if "pytest" in Path(item.path).parts]
