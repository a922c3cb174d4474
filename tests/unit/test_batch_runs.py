"""What a batch consists of: every combination once, under names that tell them apart and that are names of files."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tfprovisioner.batch.outcomes import Failure, Outcome
from tfprovisioner.batch.tasks import Run, expand


def test_all_combinations_run_grouped_by_kernel() -> None:
    runs = expand(["a.ipynb", "b.ipynb"], ["tf1", "tf2"], {"steps": 3}, {"lr": [0.1, 0.01], "seed": [1, 2]})
    assert len({(run.source, run.kernel, tuple(run.parameters.items())) for run in runs}) == len(runs) == 2 * 2 * 4
    assert [run.kernel for run in runs] == ["tf1"] * 8 + ["tf2"] * 8
    assert runs[0] == Run("a-tf1-lr=0.1-seed=1", "a.ipynb", "tf1", {"steps": 3, "lr": 0.1, "seed": 1})


def test_what_is_named_twice_runs_once() -> None:
    assert len(expand(["a.ipynb", "a.ipynb"], ["tf1", "tf1"])) == 1


def test_run_names_use_the_fewest_folders() -> None:
    runs = expand(["one/train.ipynb", "two/train.ipynb", "s3://bucket/eval.ipynb"], ["tf1"])
    assert [run.name for run in runs] == ["one-train-tf1", "two-train-tf1", "eval-tf1"]


def test_runs_of_one_case_differ_in_kernel_only() -> None:
    runs = expand(["a.ipynb"], ["tf1", "tf2"], {}, {"lr": [0.1, 0.2]})
    assert [run.case for run in runs] == ["a.ipynb (lr=0.1)", "a.ipynb (lr=0.2)"] * 2


@given(
    st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=4),
    st.lists(st.text(max_size=200), max_size=3, unique=True),
)
def test_run_names_are_unique_file_names(sources: list[str], values: list[str]) -> None:
    runs = expand(sources, ["tf1", "tf2"], {}, {"value": values} if values else {})
    names = [run.name for run in runs]
    assert len({name.lower() for name in names}) == len(names)  # on a file system that does not tell case either
    assert all(re.fullmatch(r"[\w=+-][\w.=+-]{0,119}", name, re.ASCII) for name in names)


def test_an_outcome_survives_json() -> None:
    failure = Failure("ValueError", "no", 3, "Traceback …")
    outcome = Outcome(Run("a-tf1", "a.ipynb", "tf1", {"lr": 0.1}), "failed", "ab", "1.15.5", "3.7.16", failure=failure)
    assert Outcome.from_json(outcome.to_json()) == outcome
