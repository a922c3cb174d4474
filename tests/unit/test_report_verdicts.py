"""What is compared with what, and which verdict it gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.reports import batch, every_release, kept, usual
from tfprovisioner.batch import report
from tfprovisioner.batch.outcomes import FAILED, Failure
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.report.verdicts import MAX_PARTS
from tfprovisioner.batch.tasks import Run, expand

ONES = np.ones((2, 3), "float32")


def states(made: report.Report) -> dict[tuple[str, str], str]:
    return {(one["name"], one["side"]): one["verdict"] for one in made.comparisons}


def only(made: report.Report) -> Any:
    (comparison,) = made.comparisons
    return comparison


def test_every_verdict(tmp_path: Path) -> None:
    lost = replace(kept("lost", 1), inside=None, file=tmp_path / "train-tf2.values" / "00")
    one = {"same": ONES, "near": ONES, "far": ONES, "gone": 1, "lost": 1}
    two = {"same": ONES, "near": ONES * np.float32(1 + 1e-6), "far": ONES * 2, "lost": lost, "new": "x"}
    made = report.make(batch(tmp_path, {"tf1": one, "tf2": two}), tmp_path)
    assert states(made) == {
        ("same", "tf2"): "equal",
        ("near", "tf2"): "close",
        ("far", "tf2"): "different",
        ("gone", "tf2"): "missing",
        ("lost", "tf2"): "unreadable",
        ("new", "tf2"): "extra",
    }
    by_name = {one["name"]: one for one in made.comparisons}
    assert by_name["far"]["largest_error"] == 1.0
    assert by_name["far"]["least_tolerance"] == "atol 1"
    assert by_name["lost"]["reason"].startswith("tf2: Cannot read the value of 'lost': No such file")
    assert str(tmp_path) not in by_name["lost"]["reason"]
    assert made.exit_code == 3
    assert made.headline == ("all 2 runs passed", "4 of 6 results differ from tf1")


@pytest.mark.parametrize(
    ("ours", "theirs", "rtol", "expected"),
    [
        (None, None, None, "different"),  # 1 in 1,000 is beyond compare's default for float32
        (None, None, 1e-2, "close"),  # the command line, where the notebook says nothing
        (1e-2, None, None, "close"),  # the notebook
        (1e-6, None, 1e-2, "different"),  # the notebook before the command line
        (None, 1e-2, 1e-6, "close"),  # the other kernel's notebook before the command line
        (1e-2, 1e-6, None, "close"),  # the baseline's before the other's
        (0.0, None, 1e-2, "different"),  # 0 is a tolerance
    ],
)
def test_whose_tolerance_counts(
    tmp_path: Path, ours: float | None, theirs: float | None, rtol: float | None, expected: str
) -> None:
    far = ONES * np.float32(1 + 1e-3)
    found = batch(tmp_path, {"tf1": {"x": kept("x", ONES, ours)}, "tf2": {"x": kept("x", far, theirs)}})
    assert only(report.make(found, tmp_path, rtol=rtol, atol=0.0))["verdict"] == expected


def test_each_tolerance_counts_by_itself(tmp_path: Path) -> None:
    found = batch(tmp_path, {"tf1": {"x": kept("x", ONES, rtol=1e-6)}, "tf2": {"x": ONES + np.float32(0.5)}})
    assert only(report.make(found, tmp_path))["verdict"] == "different"
    assert only(report.make(found, tmp_path, atol=1.0))["verdict"] == "close"
    assert only(report.make(found, tmp_path, rtol=1.0))["verdict"] == "different"


def test_what_a_failed_run_recorded_before_is_compared(tmp_path: Path) -> None:
    failing = {"tf2": Failure("ValueError", "no", 2)}
    found = batch(tmp_path, {"tf1": {"first": 1, "last": 2}, "tf2": {"first": 1}}, failing=failing)
    made = report.make(found, tmp_path)
    assert states(made) == {("first", "tf2"): "equal", ("last", "tf2"): "not compared"}
    assert made.exit_code == 1
    made = report.make(found, tmp_path, baseline="tf2")
    assert states(made) == {("first", "tf1"): "equal", ("last", "tf1"): "not compared"}
    assert [one["reason"] for one in made.comparisons][1] == "tf2's run failed before it recorded this"


def test_only_runs_of_one_case_are_compared(tmp_path: Path) -> None:
    found = batch(
        tmp_path, {"tf1": {"x": 1}, "tf2": {"x": 1}}, sources=("a/nb.ipynb", "b/nb.ipynb"), grid={"n": [1, 2]}
    )
    found = [item for item in found if item.outcome.run.name != "b-nb-tf1-n=2"]
    made = report.make(found, tmp_path)
    assert made.cases == ["a/nb.ipynb (n=1)", "a/nb.ipynb (n=2)", "b/nb.ipynb (n=1)", "b/nb.ipynb (n=2)"]
    found_states = {one["case"]: one["verdict"] for one in made.comparisons}
    assert found_states.pop("b/nb.ipynb (n=2)") == "not compared"
    assert set(found_states.values()) == {"equal"}
    assert made.exit_code == 0
    assert made.headline[1] == "all 3 results agree with tf1, 1 not compared on every kernel"


def test_outputs_of_two_machines_become_one(tmp_path: Path) -> None:
    def moved(found: list[Found], home: str) -> list[Found]:
        run = replace(found[0].outcome.run, source=f"{home}/nb.ipynb")
        return [replace(found[0], outcome=replace(found[0].outcome, run=run))]

    one = moved(batch(tmp_path / "one", {"tf1": {"x": 1}}), "/home/one")
    two = moved(batch(tmp_path / "two", {"tf2": {"x": 2}}), "/srv/two")
    made = report.make(one + two, tmp_path)
    assert [(run["case"], run["side"]) for run in made.runs] == [("nb.ipynb", "tf1"), ("nb.ipynb", "tf2")]
    assert only(made)["verdict"] == "different"


def test_one_kernel_on_two_machines_has_two_columns(tmp_path: Path) -> None:
    found = [item for name in ("one", "two") for item in batch(tmp_path / name, {"tf1": {"x": 1}, "tf2": {"x": 1}})]
    made = report.make(found, tmp_path, baseline="tf1")
    assert made.sides == ["tf1 (one)", "tf1 (two)", "tf2 (one)", "tf2 (two)"]
    assert report.make(found, tmp_path, baseline="tf2 (two)").baseline == "tf2 (two)"
    assert {one["verdict"] for one in made.comparisons} == {"equal"}
    again = [replace(item, path=tmp_path / "one" / f"again-{item.path.name}") for item in found[:2]]
    sides = report.make(found[:2] + again, tmp_path).sides
    assert sides == ["tf1", "tf1 #2", "tf2", "tf2 #2"]


def test_columns_follow_the_request_or_the_releases(tmp_path: Path) -> None:
    found = usual(tmp_path)
    assert report.make(found, tmp_path).sides == ["tf1", "tf2.4", "tf2.11", "tf2"]
    assert report.make(found, tmp_path, baseline="tf2").sides == ["tf2", "tf1", "tf2.4", "tf2.11"]
    given = ["tf2.11", "tf1", "tf2", "tf2.4"]
    assert report.make(found, tmp_path, kernels=given).sides == given
    with pytest.raises(report.UnknownBaseline, match=r"Cannot compare with tf3: .* tf1, tf2\.4, tf2\.11, tf2"):
        report.make(found, tmp_path, baseline="tf3")


def test_ranges_follow_releases_and_skip_the_baseline(tmp_path: Path) -> None:
    made = report.make(every_release(tmp_path), tmp_path, baseline="tf1.15")
    assert made.sides[:3] == ["tf1.15", "tf1.0", "tf1.1"]
    told = {row.name: [(group.key, group.text) for group in made.groups(row.verdicts)] for row in made.rows}
    assert told == {
        "matmul": [("equal", "1.0-2.21")],
        "resize": [("equal", "1.0-1.14"), ("different", "2.0-2.21")],
        "grown": [("equal", "1.0-1.14"), ("different", "2.0-2.21")],
        "near": [("equal", "1.0-1.4, 1.7-2.21"), ("close", "1.5, 1.6")],
        "LSTM": [("missing", "1.0-1.3"), ("equal", "1.4-2.21")],
    }
    given = report.make(usual(tmp_path), tmp_path, kernels=["tf2.11", "tf1", "tf2", "tf2.4"])
    resize = next(row for row in given.rows if row.name == "resize")
    assert [(group.key, group.text) for group in given.groups(resize.verdicts)] == [
        ("different", "tf1, tf2.4"), ("equal", "tf2"),
    ]  # fmt: skip


def test_runs_that_have_not_ended_are_not_fine(tmp_path: Path) -> None:
    found = batch(tmp_path, {"tf1": {"x": 1}, "tf2": {"x": 1}})
    pending = [run for run in expand(["train.ipynb"], ["tf1", "tf2", "tf2.4"]) if run.kernel == "tf2.4"]
    made = report.make(found, tmp_path, pending=pending)
    assert made.exit_code == 1
    assert made.headline[0] == "all 2 runs passed, 1 has not run"
    assert made.sides == ["tf1", "tf2.4", "tf2"]


def test_values_are_read_one_pair_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    alive: list[weakref.ref[Any]] = []
    most = 0

    class Watched(np.ndarray[Any, Any]):
        pass

    def value(record: object) -> Any:
        nonlocal most
        made = np.ones(4).view(Watched)
        alive.append(weakref.ref(made))
        most = max(most, sum(one() is not None for one in alive))
        return made

    found = batch(tmp_path, {kernel: dict.fromkeys("abc", ONES) for kernel in ("tf1", "tf2.4", "tf2.11", "tf2")})
    monkeypatch.setattr(Record, "value", value)
    made = report.make(found, tmp_path)
    assert set(states(made).values()) == {"equal"}
    assert len(alive) == 12
    assert most <= 3  # the baseline's, the last one's, and the one that takes its place


def test_values_of_many_parts_are_kept_in_excerpts(tmp_path: Path) -> None:
    one = {f"p{place}": 1.0 for place in range(MAX_PARTS * 2)}
    two = {**one, f"p{MAX_PARTS * 2 - 1}": 2.0}
    verdict = only(report.make(batch(tmp_path, {"tf1": {"x": one}, "tf2": {"x": two}}), tmp_path))
    assert verdict["parts_left_out"] == MAX_PARTS
    parts = verdict["comparison"]["parts"]
    assert [part["path"] for part in parts if not part["passed"]] == [f"p{MAX_PARTS * 2 - 1}"]
    assert len(parts) == MAX_PARTS


@pytest.mark.parametrize("names", [{}, {"a": 1}])
def test_one_kernel_alone_is_fine(tmp_path: Path, names: dict[str, Any]) -> None:
    made = report.make(batch(tmp_path, {"tf1": names}), tmp_path)
    assert (made.exit_code, made.comparisons) == (0, [])
    assert "nothing" in made.headline[1]


def test_unstarted_runs_have_a_column(tmp_path: Path) -> None:
    found = batch(tmp_path, {"tf1": {"x": 1}})
    run = Run("train-tf9", "train.ipynb", "tf9")
    gone = replace(
        found[0].outcome, run=run, state=FAILED, tensorflow="", failure=Failure("KernelMissing", "there is no tf9")
    )
    made = report.make([*found, Found(gone, tmp_path / "train-tf9.ipynb", [])], tmp_path)
    assert states(made) == {("x", "tf9"): "not compared"}
    assert "KernelMissing: there is no tf9" in report.text(made)
