"""Optimizers of a rebuilt model: which class continues an old one, and with which settings."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.target.rebuilt_optimizer import optimizer_for
from tfkernels.conversion.target.target_keras import TargetKeras

_TF_1_12 = KerasRelease((2, 1), (1, 12))
_TF_2_4 = KerasRelease((2, 4), (2, 4))


class _Optimizer:
    def __init__(self, learning_rate: Any = 0.1, epsilon: float = 1e-7, momentum: float = 0.0, **others: Any) -> None:
        self.settings = {"learning_rate": learning_rate, "epsilon": epsilon, "momentum": momentum, **others}


class _Adam(_Optimizer):
    def __init__(self, learning_rate: Any = 0.1, epsilon: float = 1e-7, global_clipnorm: Any = None) -> None:
        super().__init__(learning_rate, epsilon, global_clipnorm=global_clipnorm)


class _Legacy(_Optimizer):
    pass


class _Target(TargetKeras):
    """Keras 2.15 or 3, without Keras."""

    @property
    def release(self) -> KerasRelease:
        version = (2, 15) if hasattr(self.module.optimizers, "legacy") else (3, 15)
        return KerasRelease(version, ())

    def custom_scope(self) -> Any:
        return contextlib.nullcontext()


def _target(**legacy: Any) -> _Target:
    schedules = SimpleNamespace(InverseTimeDecay=lambda *settings: settings)
    optimizers = SimpleNamespace(Adam=_Adam, RMSprop=_Optimizer, Adagrad=_Optimizer, schedules=schedules, **legacy)
    return _Target(SimpleNamespace(optimizers=optimizers), {})


_KERAS_3 = _target()
_KERAS_2_15 = _target(legacy=SimpleNamespace(RMSprop=_Legacy, Adagrad=_Legacy))


def _saved(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}


def test_adam_continues_with_renamed_settings() -> None:
    found = optimizer_for(_saved("Adam", lr=0.01, decay=0.5, epsilon=None, clipnorm=2.0), _TF_1_12, _KERAS_3)
    assert found.optimizer.settings["learning_rate"] == (0.01, 1, 0.5)
    assert found.optimizer.settings["epsilon"] == 1e-7
    assert found.optimizer.settings["global_clipnorm"] == 2.0


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad"])
def test_other_algorithms_are_not_taken_for_same(name: str) -> None:
    found = optimizer_for(_saved(name, learning_rate=0.01), _TF_2_4, _KERAS_3)
    assert found.optimizer is None
    assert "computes" in found.sentence
    assert isinstance(optimizer_for(_saved(name, learning_rate=0.01), _TF_2_4, _KERAS_2_15).optimizer, _Legacy)


def test_momentum_brings_rmsprop_along() -> None:
    found = optimizer_for(_saved("RMSprop", learning_rate=0.01, momentum=0.9), _TF_2_4, _KERAS_3)
    assert found.optimizer.settings["momentum"] == 0.9


def test_settings_that_count_are_not_dropped() -> None:
    found = optimizer_for(_saved("Adam", learning_rate=0.01, amsgrad=True), _TF_2_4, _KERAS_3)
    assert found.optimizer is None
    assert "amsgrad=True" in found.sentence
    assert optimizer_for(_saved("Adam", learning_rate=0.01, amsgrad=False), _TF_2_4, _KERAS_3).optimizer is not None
