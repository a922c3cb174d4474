"""Models of one release in a kernel of another: as values of cells, and from files that the old one wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.models import Kernels, kernels
from tfkernels.errors import ExchangeError

__all__ = ["kernels"]  # the fixture

_CODE = """
class Scale(L.Layer):
    def __init__(self, offset=0.0, **kwargs):
        super(Scale, self).__init__(**kwargs)
        self.offset = offset

    def build(self, shape):
        self.factor = self.add_weight(name="factor", shape=(int(shape[-1]),), initializer="ones")
        super(Scale, self).build(shape)

    def call(self, x):
        return x * self.factor + self.offset

    def get_config(self):
        return dict(super(Scale, self).get_config(), offset=self.offset)

class NoConfig(L.Layer):
    def __init__(self, units):
        super(NoConfig, self).__init__(name="closed")

    def get_config(self):
        raise NotImplementedError

    def call(self, x):
        return x

def twice(x):
    return x * 2.0

x = np.linspace(-1, 1, 24).reshape(4, 6).astype("float32")

def build():
    entry = L.Input((6,), name="entry")
    h = L.Dense(5, activation="tanh")(entry)
    h = L.Lambda(lambda t: t[:, 1:] * 3.0, name="nameless")(h)
    h = Scale(0.5, name="scale")(L.Lambda(twice, name="named")(h))
    model = tf.keras.Model(entry, L.Dense(2, name="last")(h))
    model.compile("adam", "mse")
    model.fit(x, np.ones((4, 2)), epochs=3, verbose=0)
    return model

def closed():
    entry = L.Input((3,))
    return tf.keras.Model(entry, NoConfig(3)(L.Dense(3)(entry)))
"""


def test_model_goes_from_release_to_release(kernels: Kernels) -> None:
    one, other = kernels["tf1"], kernels["tf2"]
    for kernel in (one, other):
        kernel.run(_CODE)
    one.run("model = build()")
    other.run("def tanh(x):\n    return 0 * x")  # of the notebook, and not of the model
    other.run("y = model.predict(x, verbose=0)", inputs={"model": one.reference("model")})
    assert np.allclose(one["model.predict(x)"], other["y"], atol=1e-5)
    assert other["int(model.optimizer.iterations)"] == 3
    kept = other["tfkernels.weights(model)"]
    assert all(np.array_equal(kept[name], value) for name, value in one["tfkernels.weights(model)"].items())
    other.run("del Scale, twice")  # the function of a Lambda need not be there; a layer's class must
    with pytest.raises(ExchangeError, match=r"(?s)Scale.*same name"):
        other.run("pass", inputs={"model": one.reference("model")})
    with pytest.raises(ExchangeError, match=r"layer closed is of class NoConfig.*tfkernels.weights"):
        one["closed()"]
    with pytest.raises(ExchangeError, match="no result to be compared"):
        one["tfkernels.transfer.encoder.ValueMessage({'model': model}).to_bytes()"]


def test_saved_model_is_loaded_without_its_code(kernels: Kernels, tmp_path: Path) -> None:
    kernel = kernels["tf1"]
    custom = tmp_path / "objects_of_test.py"
    custom.write_text(f"import numpy as np\nimport tensorflow as tf\nL = tf.keras.layers\n{_CODE}", encoding="utf-8")
    whole, only = tmp_path / "whole.h5", tmp_path / "weights.h5"
    architecture = tmp_path / "architecture.json"
    kernel["paths"] = [str(path) for path in (whole, only, architecture, custom)]
    kernel.run(_CODE)
    kernel.run(
        "whole, only, architecture, custom = paths\n"
        "model = build()\nmodel.save(whole)\nmodel.save_weights(only)\nopen(architecture, 'w').write(model.to_json())\n"
        "from tfkernels.conversion.load_old import load"
    )
    with pytest.raises(ExchangeError, match=r"layer nameless: it is a Lambda with Python byte code.*--trust"):
        kernel["load(whole, custom_objects=custom).model"]
    with custom.open("a", encoding="utf-8") as file:
        file.write("\ndef nameless(t):\n    return t[:, 1:] * 3.0\n\nnamed = twice\n")
    expected = kernel["model.predict(x)"]
    for loaded in ("load(whole, None, custom)", "load(only, architecture, custom)", "load(whole, None, custom, True)"):
        kernel.run(f"loaded = {loaded}")
        assert np.array_equal(kernel["loaded.model.predict(x)"], expected)
        assert not kernel["loaded.notes"]
    state = kernel["loaded.record['optimizer']"]
    assert (state["class_name"], state["step"]) == ("Adam", 3)
    live = kernel["__import__('tfkernels.conversion.record.model_record').conversion.record.model_record.record(model)"]
    assert {*state["slots"]} == {*live["trainable_weights"]}
    for name, slots in live["optimizer"]["slots"].items():
        assert all(np.array_equal(value, state["slots"][name][slot]) for slot, value in slots.items())


def test_weights_of_a_file_are_the_same_in_both(kernels: Kernels, tmp_path: Path) -> None:
    one, other = kernels["tf1"], kernels["tf2"]
    paths = [str(tmp_path / name) for name in ("whole.h5", "only.h5", "weights.ckpt")]
    one.run(_CODE)
    one.run("tf.keras.backend.clear_session()")  # a checkpoint has the names of variables, which count on
    one.run(
        "model = build()\nmodel.save(paths[0])\nfor path in paths[1:]: model.save_weights(path)",
        inputs={"paths": paths},
    )
    expected, outputs = one["tfkernels.weights(model)"], one["model.predict(x)"]
    other.run(f"{_CODE}\nfresh = build()")
    for path in paths:
        for kernel in (one, other):
            kernel["path"] = path
            found = kernel["dict(tfkernels.weights(path))"]
            assert list(found) == list(expected)
            assert all(np.array_equal(found[name], value) for name, value in expected.items())
        other.run("tfkernels.load_weights(fresh, {name: 0 * array for name, array in tfkernels.weights(path).items()})")
        assert other["tfkernels.load_weights(fresh, path).complete"]
        assert np.allclose(other["fresh.predict(x, verbose=0)"], outputs, atol=1e-5)


def test_file_tells_the_optimizer_of_keras_3(kernels: Kernels, tmp_path: Path) -> None:
    kernel = kernels["tf2"]
    kernel["paths"] = [str(tmp_path / "model.keras"), str(tmp_path / "model.h5")]
    kernel.run(
        "from tfkernels.conversion.load_old import load\n"
        "from tfkernels.conversion.record.model_record import record\n"
        "entry = L.Input((7,), dtype='int32')\n"
        "h = L.GRU(3)(L.Embedding(9, 4, mask_zero=True)(entry))\n"
        "model = tf.keras.Model(entry, L.Dense(1)(h))\n"
        "model.compile(tf.keras.optimizers.SGD(0.1, momentum=0.9), 'mse')\n"
        "words = np.arange(28).reshape(4, 7) % 9\n"
        "model.fit(words, np.ones((4, 1)), epochs=2, verbose=0)\n"
        "for path in paths:\n"
        "    model.save(path)\n"
        "found = [load(path) for path in paths]"
    )
    expected = kernel["record(model)['optimizer']"]
    for number in range(2):
        loaded = kernel[f"found[{number}].record['optimizer']"]
        assert (loaded["class_name"], loaded["step"]) == ("SGD", 2)
        assert {*loaded["slots"]} == {*expected["slots"]}
        for name, slots in expected["slots"].items():
            assert np.array_equal(slots["momentum"], loaded["slots"][name]["momentum"])
        assert np.array_equal(
            kernel[f"found[{number}].model.predict(words, verbose=0)"], kernel["model.predict(words, verbose=0)"]
        )
