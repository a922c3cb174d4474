"""Findings from traces that are written by hand, and findings that must not follow from another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.simulated_training import simulate
from tests.unit.test_diagnosis import BN, L2, LSTM, ROWS, made, pair
from tfkernels.diagnosis.diagnose import diagnose


def _looked_up(*, sums: bool) -> dict[str, Any]:
    """A step of Adam with a table, of which a batch uses row 1 twice and row 2 once."""
    parts = np.random.RandomState(1).normal(size=(3, 4))
    gradient, squares = np.zeros((4, 4)), np.zeros((4, 4))
    for row, part in zip((1, 1, 2), parts, strict=True):
        gradient[row] += part
        squares[row] += part * part
    v = 1e-3 * (gradient**2 if sums else squares)
    trace = made("gradient", {"table": gradient})
    trace["steps"][0].update(
        input={"input": np.array([[1, 1, 2]])},
        slot_before={"table/m": np.zeros((4, 4)), "table/v": np.zeros((4, 4))},
        slot={"table/m": 0.1 * gradient, "table/v": v},
        update={"table": -0.01 * gradient / (np.sqrt(v) + 1e-7)},
    )
    return {**trace, "weights_before": {"table": np.ones((4, 4))}}


def test_squares_of_a_row_used_twice_are_found() -> None:
    (finding,) = diagnose(_looked_up(sums=True), _looked_up(sums=False)).findings
    assert (finding.quantity, finding.name, finding.reason) == ("slot", "table", "sparse-squares")
    assert finding.evidence["rows"] == [1]
    assert not diagnose(_looked_up(sums=False), _looked_up(sums=False)).findings


def test_backward_layer_is_found() -> None:
    unmasked = {**LSTM, "mask": False, "precise": True}
    backward = simulate(**unmasked, input=lambda x, step: x[:, ::-1])
    for step in backward["steps"]:
        step["input"] = {n: x if n.startswith("target") else x[:, ::-1] for n, x in step["input"].items()}
    (finding,) = diagnose(simulate(**unmasked), backward).findings
    assert (finding.quantity, finding.name, finding.reason) == ("output", "lstm", "direction")


def test_layer_with_another_input_is_equal_by_itself() -> None:
    kernel = np.random.RandomState(2).normal(size=(5, 3))
    scaled = made("output", {"embedding": ROWS, "scale": 2.5 * ROWS, "dense": 2.5 * ROWS @ kernel})
    plain = made("output", {"embedding": ROWS, "dense": ROWS @ kernel})
    for trace in (scaled, plain):
        trace["weights_before"] = {"dense/kernel": kernel}
    (finding,) = diagnose(scaled, plain).findings
    assert (finding.name, finding.reason) == ("dense", "another-input")
    assert finding.evidence == {"a": "scale", "b": "embedding"}


def _of_optimizer(kind: str, momentum: float = 0.0) -> dict[str, Any]:
    """Three steps of an optimizer that the simulated trainings lack."""
    w, before = np.ones((16, 5)), {"w/m": np.zeros((16, 5)), "w/v": np.zeros((16, 5))}
    if kind == "rmsprop":
        before = {"w/mean_square": np.zeros((16, 5)), "w/momentum": np.zeros((16, 5))}
    trace = {**made("gradient", {}), "weights_before": {"w": w}, "steps": []}
    for number in range(3):
        g = np.random.RandomState(number).normal(size=(16, 5))
        if kind == "rmsprop":
            square = 0.9 * before["w/mean_square"] + 0.1 * g * g
            after = {
                "w/mean_square": square,
                "w/momentum": momentum * before["w/momentum"] + 0.01 * g / np.sqrt(square + 1e-7),
            }
            update = -after["w/momentum"]
        else:
            m, v = 0.9 * before["w/m"] + 0.1 * g, before["w/v"]
            v = np.maximum(0.999 * v, np.abs(g)) if kind == "adamax" else 0.999 * v + 0.001 * g * g
            after, update = {"w/m": m, "w/v": v}, -0.01 * m / ((v if kind == "adamax" else np.sqrt(v)) + 1e-7)
        w = w + update
        trace["steps"].append(
            {"gradient": {"w": g}, "slot_before": before, "slot": after, "update": {"w": update}, "weight": {"w": w}}
        )
        before = after
    return trace


def test_loss_that_fits_its_outputs_is_not_blamed() -> None:
    target = np.eye(5)[np.arange(16) % 5]
    p = np.exp(ROWS) / np.exp(ROWS).sum(axis=-1, keepdims=True)
    a, b = made("output", {"dense": ROWS}), made("output", {"dense": p})
    for trace in (a, b):
        trace["steps"][0].update(input={"target": target}, loss={"loss": -(target * np.log(p)).sum(axis=-1).mean()})
    assert [finding.quantity for finding in diagnose(a, b).findings] == ["output"]


def test_regularisation_in_a_total_loss_is_found() -> None:
    a, b = simulate(**L2), simulate(**L2, l2_half=True, precise=True)
    for trace in (a, b):
        for step in trace["steps"]:
            step["loss"] = {"loss": step["loss"]["loss"]}
    (finding,) = diagnose(a, b).findings
    assert (finding.quantity, finding.reason, finding.step) == ("loss", "regularization-in-total", 1)
    assert round(finding.evidence["strength"], 5) == -0.005
    assert "b has no regularisation, or less" in finding.words


def test_momentum_of_rmsprop_is_found() -> None:
    (finding,) = diagnose(_of_optimizer("rmsprop", 0.9), _of_optimizer("rmsprop", 0.5)).findings
    assert (finding.quantity, finding.reason, finding.step) == ("slot", "slot-decay", 2)
    assert [round(finding.evidence[side], 3) for side in "ab"] == [0.9, 0.5]


def test_slots_of_another_formula_are_no_second_finding() -> None:
    (finding,) = diagnose(_of_optimizer("adamax"), _of_optimizer("adam")).findings
    assert (finding.quantity, finding.reason) == ("update", "update-formula")


def test_all_frozen_normalisations_are_one_finding() -> None:
    frozen, trained = ({"input": ROWS, **_normalised(training=training)} for training in (False, True))
    traces = [made("output", outputs) for outputs in (frozen, trained)]
    for trace in traces:
        trace["weights_before"] = {f"{layer}/{name}": value for layer in ("bn", "bn_1") for name, value in _BN.items()}
        trace["steps"][0]["gradient"] = {"dense/kernel": ROWS}
    traces[1]["steps"][0]["gradient"].update({f"{layer}/gamma": np.ones(5) for layer in ("bn", "bn_1")})
    (finding,) = diagnose(traces[0], traces[1]).findings
    assert finding.reason == "normalization-statistics"
    assert finding.evidence["layers"] == ["bn", "bn_1"]


_BN = {"gamma": np.ones(5), "beta": np.zeros(5), "moving_mean": np.full(5, 0.1), "moving_variance": np.full(5, 1.5)}


def _normalised(*, training: bool) -> dict[str, Any]:
    """The outputs of two batch normalisations, one after the other."""
    found, x = {}, ROWS
    for layer in ("bn", "bn_1"):
        mean, variance = (x.mean(axis=0), x.var(axis=0)) if training else (0.1, 1.5)
        x = found[layer] = (x - mean) / np.sqrt(variance + 1e-3)
    return found


@pytest.mark.parametrize("part", ["output", "gradient", "update", "slot"])
def test_one_part_of_a_correct_port_raises_no_alarm(part: str) -> None:
    a, b = simulate(**BN), simulate(**BN, precise=True)
    for trace in (a, b):
        trace["steps"] = [{part: step[part]} for step in trace["steps"]]
    found = diagnose(a, b)
    assert not list(map(str, found.findings))
    assert any("weights after the steps are not in both traces" in note for note in found.notes)


def test_epsilon_is_not_blamed_for_another_rate() -> None:
    findings = pair({"epsilon": 1e-3}, {"epsilon": 1e-7, "rate": 0.02}).findings
    words = {finding.reason: finding.words for finding in findings}
    assert set(words) == {"epsilon", "learning-rate"}
    assert "%" not in words["epsilon"]
