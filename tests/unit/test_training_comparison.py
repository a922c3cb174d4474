"""``compare`` of training traces: verdicts of parts, findings as data, names by a mapping, and the page of rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.simulated_training import simulate
from tfkernels.diagnosis.page import page
from tfkernels.diagnosis.rules.catalogue import RULES
from tfkernels.diagnosis.rules.rule import Rule
from tfkernels.errors import UsageError
from tfkernels.training.training_trace import mark_of

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "training-differences.md"
BN: dict[str, Any] = {"model": "bn", "steps": 2}


def test_finding_is_text_data_and_html() -> None:
    faulty = simulate(**BN, epsilon=1e-3, bn_momentum=0.9, precise=True)
    found = tfkernels.compare(simulate(**BN), faulty, names=("tf1", "tf2"))
    assert found.finding is not None
    assert (found.finding.quantity, found.finding.step, found.finding.reason) == ("update", 1, "epsilon")
    assert [each.reason for each in found.findings] == ["epsilon", "statistics-momentum"]
    assert not found
    assert "epsilon differs in the optimizer" in " ".join(repr(found).split())
    assert "epsilon differs in the optimizer" in found._repr_html_()
    data = json.loads(found.to_json())
    assert data["finding"]["quantity"] == "update"
    assert [each["reason"] for each in data["findings"]] == ["epsilon", "statistics-momentum"]
    assert found.first_difference is not None
    assert found.first_difference.path.startswith("step 1 update[")


def test_correct_port_passes_in_every_part() -> None:
    found = tfkernels.compare(simulate(**BN), simulate(**BN, precise=True))
    assert found.passed
    assert found.finding is None
    assert json.loads(found.to_json())["findings"] == []


def test_several_sides_have_findings_of_their_own() -> None:
    traces = {"tf1": simulate(**BN), "tf2": simulate(**BN, precise=True), "tf2.11": simulate(**BN, rate=0.1)}
    found = tfkernels.compare(traces)
    assert [(each.side, each.reason) for each in found.findings] == [("tf2.11", "learning-rate")]
    assert found.against("tf2").passed
    assert not found.against("tf2.11").passed


def test_names_that_differ_are_paired_or_mapped() -> None:
    other = _renamed(simulate(**BN, bn_momentum=0.9))
    mapping = {"batch_normalization/gamma": "scale", "batch_normalization/beta": "offset"}
    mapping |= {f"batch_normalization/moving_{one}": f"moving_{one}" for one in ("mean", "variance")}
    found = tfkernels.compare(simulate(**BN), other, mapping=mapping)
    assert [each.reason for each in found.findings] == ["statistics-momentum"]
    assert found.notes == ()
    with pytest.raises(UsageError, match="no weight, output or input is called 'nothing'"):
        tfkernels.compare(simulate(**BN), other, mapping={"nothing": "scale"})
    with pytest.raises(UsageError, match="mapping is for training traces"):
        tfkernels.compare({"a": 1}, {"a": 1}, mapping={"a": "a"})
    with pytest.raises(UsageError, match="b is no training trace, and another side is"):
        tfkernels.compare(simulate(steps=1), {"dense": np.zeros(2)})


def _renamed(trace: dict[str, Any]) -> dict[str, Any]:
    """With names as a graph may have them; those of layers stay."""
    names = {"gamma": "scale", "beta": "offset", "moving_mean": "moving_mean", "moving_variance": "moving_variance"}

    def change(name: str) -> str:
        layer, _, rest = name.partition("/")
        first, slash, slot = rest.partition("/")
        return f"{names[first]}{slash}{slot}" if layer == "batch_normalization" else f"net/{name}"

    def renamed(arrays: Any) -> Any:
        return {change(name): value for name, value in arrays.items()}

    kept = ("input", "output", "loss", "learning_rate")
    steps = [{part: v if part in kept else renamed(v) for part, v in step.items()} for step in trace["steps"]]
    return {**trace, "steps": steps, "weights_before": renamed(trace["weights_before"])}


def test_parts_that_one_trace_lacks_are_noted_not_found() -> None:
    other = simulate(**BN, precise=True)
    for step in other["steps"]:
        step["output"].pop("activation")
    found = tfkernels.compare(simulate(**BN), other)
    assert found.passed
    assert found.notes == ("only the first trace has the outputs activation",)


def test_notes_say_what_only_and_weights_from_left() -> None:
    trace = simulate(**BN, precise=True)
    trace["kept"] = {"empty": ["average"]}
    trace["about"]["weights_from"] = mark_of(simulate(rate=0.2, steps=2))
    assert tfkernels.compare(simulate(**BN), trace).notes == (
        "every step of the second trace begins with the weights of a trace that is not compared",
        "the second trace has nothing of only='average'",
    )


def test_large_arrays_are_compared_by_their_samples() -> None:
    traces = [simulate(**BN), simulate(**BN, precise=True, bn_momentum=0.9)]
    for trace in traces:
        for step in trace["steps"]:
            for part in ("gradient", "update", "weight", "slot", "slot_before"):
                step[part] = {name: _statistics(array) for name, array in step[part].items()}
    assert [each.reason for each in tfkernels.compare(*traces).findings] == ["statistics-momentum"]


def _statistics(array: Any) -> Any:
    if array.size < 50:
        return array
    sample = array.reshape(-1)[::3]
    norm = float(np.sqrt(np.sum(np.square(array))))
    return {"statistics": 1, "shape": list(array.shape), "dtype": "float32", "norm": norm, "sample": sample}


def test_formulas_say_what_agrees_by_itself() -> None:
    faulty = simulate(**BN, bn_epsilon=1e-5, precise=True)
    parts = {part.path: part for part in tfkernels.compare(simulate(**BN), faulty).parts}
    assert parts["step 1 output['dense']"].by_itself == "agrees"
    assert parts["step 1 output['batch_normalization']"].by_itself == "differs"
    assert parts["step 1 output['dense_1']"].by_itself == "agrees"
    assert not parts["step 1 output['dense_1']"].passed
    assert {parts[f"step {step} update['dense_1/kernel']"].by_itself for step in (1, 2)} == {"agrees"}


def test_another_trace_says_what_differs_by_itself() -> None:
    a, so_far = {"dense": np.ones(3), "dense_1": np.ones(2)}, {"dense": np.full(3, 2.0), "dense_1": np.full(2, 4.0)}
    found = tfkernels.compare(a, so_far, by_itself={"dense": np.full(3, 2.0), "dense_1": np.ones(2)})
    assert [part.by_itself for part in found.parts] == ["different 5.0e-01", "equal"]
    assert "by itself" in repr(found)
    assert "by itself" in found._repr_html_()
    with pytest.raises(UsageError, match="by_itself is for two values"):
        tfkernels.compare({"a": a, "b": a, "c": a}, by_itself=a)


def test_steps_with_the_others_weights_are_judged_alone() -> None:
    late = {"input": lambda x, step: x * 2 if step == 1 else x, "stopped": ("dense/kernel",)}
    a = simulate(rate=0.1)
    alone = tfkernels.compare(a, simulate(rate=0.1, precise=True, leader=a, **late))
    assert [(each.reason, each.step) for each in alone.findings] == [("gradient-missing", 1), ("inputs-scaled", 2)]
    parts = {part.path: part for part in alone.parts}
    assert parts["step 3 output['dense']"].passed  # though dense/kernel was not trained in two steps


@pytest.mark.parametrize("part", ["output", "gradient", "update", "weight", "statistic", "weights_before"])
@pytest.mark.parametrize("value", [np.nan, np.inf, None], ids=["nan", "infinity", "nothing"])
def test_broken_numbers_are_differences_not_errors(part: str, value: Any) -> None:
    trace = simulate(model="bn", steps=2, batch=8)
    for holder in [trace] if part == "weights_before" else trace["steps"]:
        holder[part] = {name: _broken(array, value) for name, array in holder[part].items()}
    found = tfkernels.compare(simulate(model="bn", steps=2, batch=8), trace)
    assert not found.passed
    assert repr(found)
    assert found.to_json()


def _broken(array: Any, value: Any) -> Any:
    broken = array.copy()
    broken.reshape(-1)[:1] = 0 if value is None else value
    return broken[:0] if value is None else broken


def test_page_has_every_rule_as_it_is() -> None:
    assert _PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if "tensorflow" not in "".join(rule.cells)], ids=lambda rule: rule.id
)
def test_cells_of_a_rule_show_a_difference(rule: Rule) -> None:
    shown = []
    for cell in rule.cells:
        names: dict[str, Any] = {}
        exec(cell, names)  # noqa: S102 (a cell of ours)
        shown.append(names["x"])
    assert not tfkernels.compare(*shown).passed
