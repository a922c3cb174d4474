"""The state of TensorFlow 1's optimizers for those of Keras: slots, the step, and what is said if they do not fit."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.graphs import optimizer_checkpoint
from tfkernels.conversion.graphs.graph_optimizer import state, steps
from tfkernels.conversion.graphs.optimizer_settings import differences, settings_of
from tfkernels.models.match import Match
from tfkernels.saved_models.graph_names import sort
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer, Weight, WrittenBy

ONES = np.ones((2, 3), "float32")
PAIR = Match("dense/kernel", "net/w", "mapping", (2, 3))


def weight(value: Any) -> Weight:
    array = np.asarray(value, "float32")
    return Weight("", array.shape, "float32", lambda: array)


def saved(kind: str | None, step: int | None = None, others: dict[str, Any] | None = None, **slots: Any) -> SavedFile:
    found = {"net/w": {name: weight(value) for name, value in slots.items()}}
    scalars = {name: weight(value) for name, value in (others or {}).items()}
    optimizer = SavedOptimizer(kind, {}, found, step, scalars)
    return SavedFile("model.ckpt", "checkpoint-v2", WrittenBy(), {}, optimizer=optimizer, step=step)


class Adam:
    learning_rate = 0.5


class SGD:
    learning_rate = 0.5


def test_slots_go_under_the_names_of_the_model() -> None:
    found, remarks = state(saved("Adam", 7, m=ONES, v=ONES * 2), [PAIR], Adam())
    assert found is not None
    assert remarks == ()
    assert (found["class_name"], found["step"]) == ("Adam", 7)
    assert np.array_equal(found["slots"]["dense/kernel"]["v"], ONES * 2)


def test_momentum_gets_the_rate_that_keras_includes() -> None:
    found, remarks = state(saved("Momentum", 7, momentum=ONES), [PAIR], SGD())
    assert found is not None
    assert np.array_equal(found["slots"]["dense/kernel"]["momentum"], ONES * -0.5)
    assert "learning rate, 0.5" in remarks[0]


@pytest.mark.parametrize("kind", ["Adam", "AdaMax"])
def test_slots_of_a_graph_have_the_names_of_keras(kind: str) -> None:
    names = ("net/w", f"net/w/{kind}", f"net/w/{kind}_1")
    optimizer = sort({name: weight(ONES * place) for place, name in enumerate(names)}).optimizer
    assert optimizer is not None
    slots = {slot: variable.read()[0, 0] for slot, variable in optimizer.slots["net/w"].items()}
    assert (optimizer.class_name, slots) == (kind, {"m": 1, "v": 2})


@pytest.mark.parametrize(
    ("kind", "optimizer", "said"),
    [
        ("Adam", None, r"\(Adam\): the model has no optimizer. Compile it"),
        ("Adam", SGD(), r"\(Adam\): the model's optimizer is SGD"),
        ("LARS", SGD(), r"\(LARS\): Keras has none that computes the same"),
        (None, SGD(), "unknown slots"),
    ],
)
def test_other_algorithms_leave_the_state_behind(kind: str | None, optimizer: Any, said: str) -> None:
    found, remarks = state(saved(kind, m=ONES, v=ONES), [PAIR], optimizer)
    assert found is None
    assert re.search(said, remarks[0])


def test_slots_of_another_layout_stay_behind() -> None:
    found, remarks = state(saved("Adam", 7, m=ONES, v=ONES), [PAIR._replace(how="CuDNN's layout converted")], Adam())
    assert found is None
    assert "none of its slots" in remarks[0]


def powers(count: int, beta1: float = 0.9, beta2: float = 0.999) -> dict[str, Any]:
    """What Adam has after ``count`` steps, as floats multiply."""
    one, two = np.float32(beta1), np.float32(beta2)
    first, second = one, two
    for _ in range(count):
        first, second = first * one, second * two
    return {"beta1_power": weight(first), "train/beta2_power": weight(second)}


@pytest.mark.parametrize("count", [0, 5, 900, 30_000])
def test_adams_own_count_confirms_the_step(count: int) -> None:
    with np.errstate(under="ignore"):
        others = powers(count)
    assert steps(count, others) == (count, "")


def test_adams_own_count_wins_over_the_programs() -> None:
    assert steps(20, powers(10)) == (10, "Adam has made 10 steps, and global_step is 20")
    assert steps(None, powers(10)) == (10, "")


def test_the_step_is_that_of_the_weights_optimizer() -> None:
    file = saved("Adam", m=ONES, v=ONES)
    assert file.optimizer is not None
    several = file._replace(optimizer=file.optimizer._replace(steps={"net/w": 10, "critic/w": 5}))
    found, remarks = state(several, [PAIR], Adam())
    assert found is not None
    assert (found["step"], remarks) == (10, ())


def test_adams_of_different_steps_are_not_mixed() -> None:
    second = {f"{name}_1": value for name, value in powers(5).items()}
    others = {name: weight_.read() for name, weight_ in {**powers(10), **second}.items()}
    found, remarks = state(saved("Adam", 10, others, m=ONES, v=ONES), [PAIR], Adam())
    assert found is None
    assert "optimizers of 5 and 10 steps" in remarks[0]
    same = {f"{name}_1": value for name, value in powers(10).items()}
    others = {name: weight_.read() for name, weight_ in {**powers(10), **same}.items()}
    found, _ = state(saved("Adam", 10, others, m=ONES, v=ONES), [PAIR], Adam())
    assert found is not None
    assert found["step"] == 10


def test_other_betas_are_said() -> None:
    step, remark = steps(10, powers(10, beta1=0.5))
    assert step == 10
    assert "betas were not" in remark
    assert "does not tell the step" in steps(None, {})[1]
    assert steps(10, powers(10, beta1=0.5), {"beta1_power": 0.5, "beta2_power": 0.999}) == (10, "")


def test_other_settings_are_said() -> None:
    old = {"learning_rate": 0.01, "epsilon": 1e-8, "beta_1": 0.9, "nesterov": 1}
    new = {"nesterov": 1, "learning_rate": {"class_name": "ExponentialDecay"}, "epsilon": 1e-7, "beta_1": 0.9}
    assert differences(old, new) == "the old optimizer had epsilon=1e-08; the model's has epsilon=1e-07"
    assert "nesterov=1; the model's has nesterov=0" in differences(old, {"nesterov": False})
    assert differences(old, old) == ""
    assert differences({"nesterov": 0}, {"beta_1": 0.9}) == ""
    assert "Nesterov" in differences({"nesterov": 1}, {"beta_1": 0.9})


_KNOWN = {"learning_rate": float(np.float32(0.01)), "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}


@pytest.mark.parametrize(
    ("kind", "of_graph", "of_file", "expected"),
    [
        ("Adam", _KNOWN, {}, {**_KNOWN, "learning_rate": 0.01}),
        ("Adam", {"epsilon": 1e-8}, _KNOWN, {**_KNOWN, "learning_rate": 0.01}),
        ("Adam", {"epsilon": 1e-8, "beta_1": 0.9}, {}, "the graph does not tell its learning_rate and beta_2"),
        ("Adam", _KNOWN, {"decay": 0.1}, "its learning rate decays, which the graph computes"),
        ("Momentum", {"learning_rate": 0.5, "momentum": 0.9, "nesterov": 1}, {},
         {"learning_rate": 0.5, "momentum": 0.9, "nesterov": True}),
        ("Adam", {**_KNOWN, "nesterov": 1}, {},
         "it is Adam with Nesterov's momentum, and Keras has none that computes the same"),
        ("Adam", {**_KNOWN, "nesterov": 0}, {}, {**_KNOWN, "learning_rate": 0.01}),
        ("Ftrl", {"learning_rate": 0.5}, {}, "Keras has none that computes the same"),
    ],
)  # fmt: skip
def test_all_settings_are_known_or_the_state_stays(
    monkeypatch: pytest.MonkeyPatch, kind: str, of_graph: Any, of_file: Any, expected: Any
) -> None:
    monkeypatch.setattr(optimizer_checkpoint, "_of_graphs", lambda _: of_graph)
    found = SavedOptimizer(kind, of_file, {}, 1, {})
    assert optimizer_checkpoint._settings(None, found) == expected  # type: ignore[arg-type]


def test_settings_come_from_the_operations_that_train() -> None:
    constants = {"rate": 0.5, "momentum": 0.9}
    nodes = [SimpleNamespace(name=name, op="Const", input=[], attr={"value": SimpleNamespace(tensor=value)})
             for name, value in constants.items()]  # fmt: skip
    inputs = ["w", "slot", "rate", "gradient", "momentum"]
    nesterov = {"use_nesterov": SimpleNamespace(b=True)}
    apply = SimpleNamespace(name="a", op="ResourceApplyMomentum", input=inputs, attr=nesterov)
    nadam = SimpleNamespace(name="a", op="ApplyAdam", input=["w"], attr=nesterov)
    assert settings_of(SimpleNamespace(node=[nadam]), np.asarray) == {"nesterov": 1}
    other = SimpleNamespace(name="b", op="ApplyMomentum", input=inputs, attr={})
    expected = {"learning_rate": 0.5, "momentum": 0.9, "nesterov": 1}
    assert settings_of(SimpleNamespace(node=[*nodes, apply]), np.asarray) == expected
    assert settings_of(SimpleNamespace(node=[*nodes, apply, other]), np.asarray) == {}, "two optimizers"
