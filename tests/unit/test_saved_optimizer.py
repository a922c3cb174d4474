"""The optimizer of a saved model: with which settings it comes along, and how its state gets into another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.file_optimizer import by_names_of, of_model, with_settings
from tfkernels.conversion.optimizer_slots import set_state
from tfkernels.errors import ConversionError
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer, Weight, WrittenBy

ONES = np.ones((2, 3), "float32")


def _weight(value: Any) -> Weight:
    array = np.asarray(value, "float32")
    return Weight("", array.shape, "float32", lambda: array)


def _saved(kind: str | None, config: dict[str, Any], slots: Any, **others: Any) -> SavedFile:
    found = {name: {slot: _weight(array) for slot, array in own.items()} for name, own in slots.items()}
    scalars = {name.replace("_vars_", "/vars/"): _weight(value) for name, value in others.items()}
    weights = {"dense/kernel": _weight(ONES)}
    optimizer = SavedOptimizer(kind, config, found, 3, scalars)
    return SavedFile("model.ckpt", "checkpoint-v2", WrittenBy(), weights, optimizer=optimizer)


ADAM = _saved("Adam", {"learning_rate": 0.5}, {"dense/kernel": {"m": ONES, "v": ONES * 2}})


class _Defaults:
    """Keras's module of optimizers."""

    @staticmethod
    def get(name: str) -> Any:
        kind = type({"adam": "Adam"}[name], (), {"get_config": lambda _: {"learning_rate": 0.001, "epsilon": 1e-7}})
        return kind()


def test_an_optimizer_without_its_settings_stays_behind() -> None:
    for training in (None, {"loss": "mse"}):
        found = with_settings(ADAM, training, _Defaults)
        assert found is not None
        assert "(step 3, m and v of 1 weights, learning_rate=0.5), and not its settings" in found["why_not"]
        assert "--model FILE.py:FUNCTION" in found["why_not"]
    assert with_settings(ADAM._replace(optimizer=None), None, _Defaults) is None


def test_settings_of_the_whole_model_count_and_reached_rate() -> None:
    training = {"optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.1, "epsilon": 1e-3}}}
    found = with_settings(ADAM, training, _Defaults)
    assert found is not None
    assert (found["class_name"], found["step"]) == ("Adam", 3)
    assert found["config"] == {"learning_rate": 0.5, "epsilon": 1e-3}
    assert np.array_equal(found["slots"]["dense/kernel"]["v"], ONES * 2)
    other = {"optimizer_config": {"class_name": "SGD", "config": {"learning_rate": 0.1}}}
    assert "the settings of SGD" in str(with_settings(ADAM, other, _Defaults))


def test_an_optimizer_by_name_has_the_settings_of_its_keras() -> None:
    saved = _saved("adam", {}, {"dense/kernel": {"m": ONES}}, optimizer_vars_1=0.25)
    found = with_settings(saved, {"compile_config": {"optimizer": "adam"}}, _Defaults)
    assert found is not None
    assert (found["class_name"], found["config"]) == ("Adam", {"learning_rate": 0.25, "epsilon": 1e-7})


def _compiled(name: str = "Adam", **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": {"learning_rate": 0.1, "epsilon": 1e-3, **config}, "step": 0, "slots": {}}


def test_a_compiled_model_gives_the_settings_for_a_state() -> None:
    found = of_model(ADAM, _compiled())
    assert found is not None
    assert (found["step"], found["config"]) == (3, {"learning_rate": 0.5, "epsilon": 1e-3})
    assert np.array_equal(found["slots"]["dense/kernel"]["m"], ONES)
    schedule = _compiled(learning_rate={"class_name": "CosineDecay"})
    assert of_model(ADAM, schedule)["config"]["learning_rate"] == {"class_name": "CosineDecay"}  # type: ignore[index]
    assert "the model is compiled with SGD" in of_model(ADAM, _compiled("SGD"))["why_not"]  # type: ignore[index]
    assert "and not its settings" in of_model(ADAM, None)["why_not"]  # type: ignore[index]


def test_old_state_does_not_go_into_a_changed_algorithm() -> None:
    saved = _saved("RMSprop", {"decay": 0.0}, {"dense/kernel": {"rms": ONES}})
    assert "computes otherwise" in of_model(saved, _compiled("RMSprop", jit_compile=True))["why_not"]  # type: ignore[index]
    assert of_model(saved, _compiled("RMSprop", decay=0.0))["step"] == 3  # type: ignore[index]


@pytest.mark.parametrize(("restored", "step", "continues"), [(2, 3, True), (1, 3, False), (2, 0, False)])
def test_arrays_without_names_count_if_keras_restored_them(restored: float, step: int, continues: bool) -> None:
    saved = _saved(None, {}, {}, optimizer_vars_1=0.5, optimizer_vars_2=ONES, optimizer_vars_3=ONES * 2)
    slots = {"dense/kernel": {"m": ONES, "v": ONES * restored}}
    found = of_model(saved, {**_compiled(), "step": step, "slots": slots})
    assert found is not None
    assert ("why_not" not in found) == continues


def test_slots_follow_a_layer_whose_name_was_lost() -> None:
    file = ADAM._replace(weights={"tower/dense/kernel": _weight(ONES)})
    optimizer = {"slots": {"tower/dense/kernel": {"m": ONES}}}
    found = by_names_of({"sequential/dense/kernel": ONES}, file, optimizer)
    assert found is not None
    assert list(found["slots"]) == ["sequential/dense/kernel"]
    numbered = ADAM._replace(weights={"scale/0": _weight(ONES)})
    found = by_names_of({"scale/factor": ONES, "shift/factor": ONES}, numbered, {"slots": {"scale/0": {"m": ONES}}})
    assert list(found["slots"]) == ["scale/factor"]  # type: ignore[index]
    other = by_names_of({"sequential/dense/kernel": ONES * 2}, file, optimizer)
    assert list(other["slots"]) == ["tower/dense/kernel"]  # type: ignore[index]


class _Place:
    """A variable."""

    def __init__(self, *shape: int, dtype: str = "float32") -> None:
        self.value, self.shape, self.dtype = np.zeros(shape, dtype), shape, np.dtype(dtype)

    def assign(self, value: Any) -> None:
        assert value.dtype == self.dtype
        self.value = value


class _Named:
    """An optimizer that names its slots, as up to 2.10. It has them once it trains."""

    def __init__(self) -> None:
        self.iterations = _Place(dtype="int64")
        self.slots: dict[tuple[int, str], _Place] = {}

    def _create_all_weights(self, trained: list[Any]) -> None:
        self.slots = {(id(one), slot): _Place(*one.shape) for one in trained for slot in ("m", "v")}

    def get_slot_names(self) -> list[str]:
        return ["m", "v"]

    def get_slot(self, variable: Any, name: str) -> Any:
        return self.slots[id(variable), name]


class Adam:
    """An optimizer with a list for each slot, as since 2.11."""

    def __init__(self) -> None:
        self.iterations, self.built = _Place(dtype="int64"), False

    def build(self, trained: list[Any]) -> None:
        self.trained, self.built = trained, True
        self._momentums = [_Place(*one.shape) for one in trained]
        self._velocities = [_Place(*one.shape) for one in trained]

    def _get_variable_index(self, variable: Any) -> int:
        return [id(one) for one in self.trained].index(id(variable))


def _slot(optimizer: Any, variable: Any, name: str) -> Any:
    if isinstance(optimizer, _Named):
        return optimizer.get_slot(variable, name).value
    return {"m": optimizer._momentums, "v": optimizer._velocities}[name][optimizer._get_variable_index(variable)].value


@pytest.mark.parametrize("kind", [_Named, Adam])
def test_a_state_is_set_whatever_keeps_the_slots(kind: Any) -> None:
    kernel, bias, optimizer = _Place(2, 3), _Place(3), kind()
    state = {"step": 7, "slots": {"dense/kernel": {"m": ONES, "v": ONES * 2}}}
    names = {"dense/kernel": kernel, "dense/bias": bias}
    assert set_state(optimizer, state, names, [bias, kernel]) == ()
    assert optimizer.iterations.value == 7
    assert np.array_equal(_slot(optimizer, kernel, "m"), ONES)
    assert np.array_equal(_slot(optimizer, kernel, "v"), ONES * 2)
    assert not _slot(optimizer, bias, "m").any()


def test_what_an_optimizer_cannot_take_is_said() -> None:
    kernel, optimizer = _Place(2, 3), Adam()
    state = {"step": 7, "slots": {"dense/kernel": {"vhat": ONES, "mg": ONES * 0}}, "scalars": {"m_cache": 0.5}}
    remarks = set_state(optimizer, state, {"dense/kernel": kernel}, [kernel])
    assert remarks == (
        "the model's optimizer has no slot vhat for dense/kernel",
        "the model's optimizer has no m_cache",
    )


def test_a_state_of_another_shape_sets_nothing() -> None:
    kernel, bias, optimizer = _Place(2, 3), _Place(4), Adam()
    state = {"step": 7, "slots": {"dense/kernel": {"m": ONES}, "dense/bias": {"m": np.ones(3)}}}
    with pytest.raises(ConversionError, match=r"m of dense/bias has the shape \(3,\)"):
        set_state(optimizer, state, {"dense/kernel": kernel, "dense/bias": bias}, [kernel, bias])
    assert optimizer.iterations.value == 0
    assert not _slot(optimizer, kernel, "m").any()
