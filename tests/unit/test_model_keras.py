"""Which Keras a model comes from, of several in one process, and that each of them is seeded."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfkernels.errors import TraceError
from tfkernels.models.keras_package import is_layer, keras_of
from tfkernels.models.seed import seed_here

LAYERS = {
    "keras.engine.base_layer": "keras.backend",
    "tf_keras.src.engine.base_layer": "tf_keras.src.backend",
    "tensorflow.contrib.keras.python.keras.engine.topology": "tensorflow.contrib.keras.python.keras.backend",
    "tensorflow.python.keras._impl.keras.engine.topology": "tensorflow.python.keras._impl.keras.backend",
}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts a module with these contents among the imported ones."""

    def package(name: str, **contents: Any) -> Any:
        module: Any = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return package


@pytest.fixture
def _as_before() -> Iterator[None]:
    state, numpy_state = random.getstate(), np.random.get_state()
    yield
    random.setstate(state)
    np.random.set_state(numpy_state)


def layer_of(module: str) -> Any:
    return type("Layer", (), {"__module__": module, "name": "dense"})()


def test_each_model_is_asked_its_own_backend(package: Callable[..., Any]) -> None:
    backends = {name: package(name, backend=lambda: "tensorflow") for name in LAYERS.values()}
    for root, version in (("keras", "2.2.4"), ("tf_keras", "2.21.0"), ("tensorflow", "1.12.3")):
        package(root, __version__=version)
    for layer, backend in LAYERS.items():
        assert keras_of(layer_of(layer)).backend is backends[backend]
    assert keras_of(layer_of("keras.engine.base_layer")).version == (2, 2)
    assert not is_layer(layer_of("tensorflow.python.layers.base")), "no Keras is behind it before TensorFlow 1.9"


def test_models_of_other_libraries_are_refused(package: Callable[..., Any]) -> None:
    package("keras", __version__="3.0.0")
    package("keras.src.backend", backend=lambda: "jax")
    with pytest.raises(TraceError, match=r"model dense: it computes with jax.*KERAS_BACKEND"):
        keras_of(layer_of("keras.src.layers.layer"))


@pytest.mark.usefixtures("_as_before")
def test_every_imported_keras_gets_the_seed(package: Callable[..., Any]) -> None:
    seeded: list[tuple[str, int]] = []

    def utils(name: str) -> Any:
        return SimpleNamespace(set_random_seed=lambda number: seeded.append((name, number)))

    package(
        "tensorflow",
        __version__="2.21.0",
        set_random_seed=lambda number: seeded.append(("tensorflow", number)),
        keras=SimpleNamespace(utils=utils("tf.keras")),
    )
    for name in ("keras", "tf_keras"):
        package(name, utils=utils(name))
    assert seed_here(7) == "Python, NumPy, TensorFlow 2.21.0"
    assert seeded == [(name, 7) for name in ("tensorflow", "tf.keras", "keras", "tf_keras")]
