"""Optimizers of a rebuilt model: which class continues an old one, and with which settings."""

from __future__ import annotations

import bisect
import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.target.rebuilt_optimizer import optimizer_for
from tfkernels.conversion.target.target_keras import TargetKeras

_TF_1_12 = KerasRelease((2, 1), (1, 12))
_TF_2_4 = KerasRelease((2, 4), (2, 4))


class _Optimizer:
    def __init__(
        self,
        learning_rate: Any = 0.1,
        epsilon: float = 1e-7,
        momentum: float = 0.0,
        centered: bool = False,
        **others: Any,
    ) -> None:
        own = {"learning_rate": learning_rate, "epsilon": epsilon, "momentum": momentum, "centered": centered}
        self.settings = {**own, **others}


class _Adam(_Optimizer):
    def __init__(
        self, learning_rate: Any = 0.1, epsilon: float = 1e-7, global_clipnorm: Any = None, beta_1: float = 0.9,
        beta_2: float = 0.999,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, epsilon, global_clipnorm=global_clipnorm, beta_1=beta_1, beta_2=beta_2)


class _Legacy(_Optimizer):
    pass


class _Rates:
    """Keras's schedule: the rate of a step."""

    def __init__(self, boundaries: list[int], values: list[float]) -> None:
        self.boundaries, self.values = boundaries, values

    def __call__(self, step: int) -> float:
        return self.values[bisect.bisect_left(self.boundaries, step)]


class _Target(TargetKeras):
    """Keras 2.15 or 3, without Keras."""

    @property
    def release(self) -> KerasRelease:
        version = (2, 15) if hasattr(self.module.optimizers, "legacy") else (3, 15)
        return KerasRelease(version, ())

    def custom_scope(self) -> Any:
        return contextlib.nullcontext()


def _target(**legacy: Any) -> _Target:
    schedules = SimpleNamespace(InverseTimeDecay=lambda *settings: settings, PiecewiseConstantDecay=_Rates)
    optimizers = SimpleNamespace(
        Adam=_Adam, RMSprop=_Optimizer, Adagrad=_Optimizer, Nadam=_Optimizer, schedules=schedules, **legacy
    )
    return _Target(SimpleNamespace(optimizers=optimizers), {})


_KERAS_3 = _target()
_KERAS_2_15 = _target(legacy=SimpleNamespace(RMSprop=_Legacy, Adagrad=_Legacy, Nadam=_Legacy))


def _saved(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}


def test_adam_continues_with_renamed_settings() -> None:
    found = optimizer_for(_saved("Adam", lr=0.01, decay=0.5, epsilon=None, clipnorm=2.0), _TF_1_12, _KERAS_3)
    assert found.optimizer.settings["learning_rate"] == (0.01, 1, 0.5)
    assert found.optimizer.settings["epsilon"] == 1e-7
    assert found.optimizer.settings["global_clipnorm"] == 2.0


@pytest.mark.parametrize(
    ("name", "settings", "least"),
    [("Nadam", {}, 1.0), ("RMSprop", {"centered": True}, 1.0), ("Adagrad", {}, 1e-6), ("Adagrad", {}, 0.0)],
)
def test_other_algorithms_are_not_taken_for_same(name: str, settings: dict[str, Any], least: float) -> None:
    slots = {"dense/kernel": {"accumulator": np.array([least, 1.0], "float32")}}
    saved = {**_saved(name, learning_rate=0.01, **settings), "slots": slots, "step": 500}
    found = optimizer_for(saved, _TF_2_4, _KERAS_3)
    assert found.optimizer is None
    assert "computes" in found.why_not
    for legacy in (True, False):
        assert isinstance(optimizer_for(saved, _TF_2_4, _KERAS_2_15, legacy).optimizer, _Legacy)


def _gradients(count: int) -> list[Any]:
    random = np.random.RandomState(0)
    return [np.float32(10 ** random.uniform(-7, 0, 200) * random.choice([-1, 0, 1], 200)) for _ in range(count)]


@pytest.mark.parametrize("step", [3, 500, None])
def test_rmsprop_before_2_11_steps_as_adam(step: int | None) -> None:
    rms = np.full(200, 1e-9, "float32")
    saved = {**_saved("RMSprop", learning_rate=0.01, rho=0.9, epsilon=1e-7), "step": step}
    found = optimizer_for({**saved, "slots": {"w": {"rms": rms}}}, _TF_2_4, _KERAS_3)
    settings, count = found.optimizer.settings, found.state["step"]
    assert isinstance(found.optimizer, _Adam)
    assert (settings["beta_1"], settings["beta_2"], settings["epsilon"]) == (0.0, 0.9, 1e-7)
    assert count == step or step is None
    assert isinstance(settings["learning_rate"], _Rates) == (step == 3)
    v = found.state["slots"]["w"]["v"].copy()
    assert not found.state["slots"]["w"]["m"].any()
    for gradient in _gradients(200):
        rms = np.float32(0.9) * rms + np.float32(0.1) * gradient**2
        old = np.float32(0.01) * gradient / (np.sqrt(rms) + np.float32(1e-7))
        rate = settings["learning_rate"]
        count += 1
        v += (gradient**2 - v) * np.float32(0.1)
        alpha = np.float32(rate(count - 1) if callable(rate) else rate) * np.sqrt(np.float32(1 - 0.9**count))
        assert np.allclose(gradient * alpha / (np.sqrt(v) + np.float32(1e-7)), old, 5e-6, 0)


def test_rmsprop_with_schedule_waits_for_adams_correction() -> None:
    schedule = {"class_name": "CosineDecay", "config": {}}
    saved = {**_saved("RMSprop", learning_rate=schedule, rho=0.9), "step": 3}
    found = optimizer_for(saved, _TF_2_4, _KERAS_3)
    assert found.optimizer is None
    assert "only from step 164 on, and the file is of step 3" in found.why_not
    assert "depends on the step" in optimizer_for({**saved, "step": None}, _TF_2_4, _KERAS_3).why_not


def test_adagrad_before_2_11_steps_with_another_epsilon() -> None:
    old = np.array([0.1, 0.3, 2.0] * 50, "float64")
    saved = {**_saved("Adagrad", learning_rate=0.01, epsilon=1e-7), "step": 3}
    found = optimizer_for({**saved, "slots": {"w": {"accumulator": old.astype("float32")}}}, _TF_2_4, _KERAS_3)
    epsilon = found.optimizer.settings["epsilon"]
    assert (found.state["step"], found.why_not) == (3, "")
    for more in (0, 0.1, 1, 100):
        expected = np.sqrt(old + more) + 1e-7
        assert np.allclose(np.sqrt(old + more + epsilon), expected, 1.2e-7, 0)
    assert not np.allclose(np.sqrt(old + 1e-7), np.sqrt(old) + 1e-7, 1.2e-7, 0), "the same epsilon would differ"
    assert "computes the same" in found.manner


def test_adagrad_says_how_much_a_step_can_differ() -> None:
    old = np.array([1e-4, 3e-4, 2.0], "float64")
    saved = {**_saved("Adagrad", lr=0.01, epsilon=1e-7), "slots": {"w": {"accumulator": old.astype("float32")}}}
    found = optimizer_for({**saved, "step": None}, _TF_1_12, _KERAS_3)
    assert "changes no step by more than a part of 2.5e-06" in found.manner
    parts = [
        np.sqrt(old + more + found.optimizer.settings["epsilon"]) / (np.sqrt(old + more) + 1e-7) - 1
        for more in (0, 1e-4, 3e-4, 1e-3, 1)
    ]
    assert 2e-6 < np.abs(parts).max() <= 2.5e-6


def test_legacy_optimizers_are_the_last_choice_for_keras_files() -> None:
    saved = {**_saved("RMSprop", learning_rate=0.01, epsilon=1e-7), "step": 500, "slots": {}}
    assert isinstance(optimizer_for(saved, _TF_2_4, _KERAS_2_15).optimizer, _Legacy)
    assert isinstance(optimizer_for(saved, _TF_2_4, _KERAS_2_15, legacy=False).optimizer, _Adam)


def test_momentum_brings_rmsprop_along() -> None:
    found = optimizer_for(_saved("RMSprop", learning_rate=0.01, momentum=0.9), _TF_2_4, _KERAS_3)
    assert found.optimizer.settings["momentum"] == 0.9


def test_settings_that_count_are_not_dropped() -> None:
    found = optimizer_for(_saved("Adam", learning_rate=0.01, amsgrad=True), _TF_2_4, _KERAS_3)
    assert found.optimizer is None
    assert "amsgrad=True" in found.why_not
    assert optimizer_for(_saved("Adam", learning_rate=0.01, amsgrad=False), _TF_2_4, _KERAS_3).optimizer is not None
