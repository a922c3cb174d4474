"""Keras archives, SavedModels, frozen graphs, metagraphs, checkpoints of version 1; and what ``inspect`` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import tfkernels
from tests.support import saved_models as write
from tests.support.saved_models import entry, field, layer, message, model, numbers, shape
from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.keras.classes import own_weights
from tfkernels.saved_models.keras.configs import tree
from tfkernels.saved_models.keras.weight_names import canonical_names
from tfkernels.saved_models.read import read
from tfprovisioner.cli.app import app

_INNER = {**model(layer("Dense", "a"), name="inner", kind="Sequential"), "name": "inner"}
_CONFIG = model(
    layer("Dense", "first"),
    layer("BatchNormalization", "norm"),
    _INNER,
    layer("Dense", "last", use_bias=False),
    layer("Bidirectional", "both", layer=layer("GRU", "gru", use_bias=False)),
    kind="Functional",
) | {"compile_config": {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.5}}}}
_OBJECTS = {
    "layers/dense/vars/0": numbers(2, 3),
    "layers/dense/vars/1": numbers(3),
    **{f"layers/batch_normalization/vars/{number}": numbers(3, start=number) for number in range(4)},
    "layers/sequential/layers/dense/vars/0": numbers(3, 3, start=2),
    "layers/sequential/layers/dense/vars/1": numbers(3, start=2),
    "layers/dense_1/vars/0": numbers(3, 1),
    "layers/bidirectional/forward_layer/cell/vars/0": numbers(1, 6),
    "layers/bidirectional/forward_layer/cell/vars/1": numbers(2, 6),
    "layers/bidirectional/backward_layer/cell/vars/0": numbers(1, 6, start=6),
    "layers/bidirectional/backward_layer/cell/vars/1": numbers(2, 6, start=6),
    "optimizer/vars/0": np.array(7),
    "optimizer/vars/1": np.array(0.25, "float32"),
}
_TRAINED = [(2, 3), (3,), (3,), (3,), (3, 3), (3,), (3, 1), (1, 6), (2, 6), (1, 6), (2, 6)]
_OBJECTS |= {
    f"optimizer/vars/{2 + 2 * number + part}": numbers(*sizes, start=10 * number + part)
    for number, sizes in enumerate(_TRAINED)
    for part in (0, 1)
}


@pytest.mark.parametrize("compressed", [False, True])
def test_archives_have_the_names_of_the_model(tmp_path: Path, compressed: bool) -> None:
    saved = read(write.keras_archive(tmp_path / "m.keras", _CONFIG, _OBJECTS, compressed))
    assert saved.format == "keras-archive"
    assert saved.written_by.keras == "3.4.1"
    assert list(saved.weights) == [
        *("first/kernel", "first/bias", "norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"),
        *("inner/a/kernel", "inner/a/bias", "last/kernel"),
        *(f"both/{way}/{kind}" for way in ("forward", "backward") for kind in ("kernel", "recurrent_kernel")),
    ]
    np.testing.assert_array_equal(saved.weights["norm/moving_mean"].read(), numbers(3, start=2))
    np.testing.assert_array_equal(saved.weights["last/kernel"].read(), numbers(3, 1))
    assert saved.optimizer is not None
    assert (saved.optimizer.class_name, saved.optimizer.step) == ("Adam", 7)
    np.testing.assert_array_equal(saved.optimizer.slots["last/kernel"]["v"].read(), numbers(3, 1, start=61))


def test_weights_by_objects_are_named_after_the_model(tmp_path: Path) -> None:
    write.keras_archive(tmp_path / "m.keras", _CONFIG, _OBJECTS)
    assert list(read(tmp_path / "m.h5", _CONFIG).weights) == list(read(tmp_path / "m.keras").weights)
    saved = read(tmp_path / "m.h5")
    assert saved.format == "keras-archive-weights"
    assert saved.optimizer is not None
    assert saved.optimizer.slots == {}, "the order of layers is in no file of weights"
    assert {"dense/kernel", "dense_1/kernel", "sequential/dense/bias"} <= {*saved.weights}


def _saved_model(folder: Path) -> Path:
    (folder / "variables").mkdir(parents=True)
    one = write.signature({"x": [1 << 64, 4]}, {"y": [2]})
    graphs = [write.metagraph(["train"], step=one, other=one), write.metagraph(["serve"], serving_default=one)]
    (folder / "saved_model.pb").write_bytes(message((1, 1), *((2, graph) for graph in graphs)))
    write.bundle(folder / "variables" / "variables", {"net/w": numbers(4, 2), "net/w/Momentum": numbers(4, 2)})
    return folder


def test_saved_model_has_tags_and_signatures(tmp_path: Path) -> None:
    folder = _saved_model(tmp_path / "model")
    saved = read(folder)
    assert read(folder / "saved_model.pb").signatures == saved.signatures
    assert saved.tags == (("train",), ("serve",))
    assert str(saved.written_by) == "TensorFlow 1.15.5"
    assert list(saved.signatures) == ["other", "step", "serving_default"], "TensorFlow writes them in any order"
    signature = saved.signatures["serving_default"]
    assert (signature.outputs, signature.tags) == ({"y": ("float32", (2,))}, ("serve",))
    assert list(saved.weights) == ["net/w"]
    assert saved.optimizer is not None
    assert list(saved.optimizer.slots["net/w"]) == ["momentum"]


def test_saved_model_of_keras_has_its_architecture(tmp_path: Path) -> None:
    folder = _saved_model(tmp_path / "model")
    key = "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    objects = [
        write.holder({"layer-0": 1, "layer_with_weights-0": 1}),
        write.holder({"kernel": 2}),
        write.value_object(key, "whatever/kernel"),
    ]
    graph = b"".join(field(1, one) for one in objects)
    write.bundle(folder / "variables" / "variables", {key: numbers(4, 2)}, graph)
    shaped = {"class_name": "__tuple__", "items": [None, 4]}
    config = model(layer("Dense", "dense_3", batch_input_shape=shaped), kind="Functional")
    metadata = json.dumps({**config, "keras_version": "2.11.0", "training_config": None})
    (folder / "keras_metadata.pb").write_bytes(field(1, message((3, "root"), (5, metadata))))
    saved = read(folder)
    assert saved.architecture is not None
    assert saved.architecture["config"]["layers"][0]["config"]["batch_input_shape"] == [None, 4]
    assert list(saved.weights) == ["dense/kernel"]
    (folder / "keras_metadata.pb").unlink()
    assert read(folder).architecture is None
    (folder / "assets").mkdir()
    (folder / "assets" / "saved_model.json").write_text(json.dumps({**config, "keras_version": "2.2.4-tf"}))
    exported = read(folder)
    assert exported.architecture is not None
    assert exported.architecture["config"] == config["config"]
    assert exported.written_by.keras == "2.2.4-tf"


def test_export_of_keras_3_has_each_weight_once(tmp_path: Path) -> None:
    folder = _saved_model(tmp_path / "model")
    key = "{}/{}/.ATTRIBUTES/VARIABLE_VALUE".format
    names = ["sequential/first/kernel", "sequential/last/kernel"]
    objects = [write.holder({"variables": 1, "_all_variables": 2})]
    objects += [write.holder({"0": number, "1": number + 1}) for number in (3, 5)]
    held = [(key(kind, number), names[number]) for kind in ("variables", "_all_variables") for number in (0, 1)]
    objects += [write.value_object(*one) for one in held]
    arrays = {name: numbers(2, start=number) for number, (name, _) in enumerate(held)}
    write.bundle(folder / "variables" / "variables", arrays, b"".join(field(1, one) for one in objects))
    saved = read(folder)
    assert {name: weight.read().tolist() for name, weight in saved.weights.items()} == {
        "first/kernel": [0.0, 1.0],
        "last/kernel": [1.0, 2.0],
    }


def test_operations_of_keras_3_are_no_layers(tmp_path: Path) -> None:
    operation = layer("Add", "add") | {"module": "keras.src.ops.numpy", "class_name": "Odd"}
    saved = read(write.keras_archive(tmp_path / "m.keras", model(operation, layer("Dense", "dense_1")), {}))
    assert saved.custom_objects == ()
    assert [one.path for one in saved.layers] == ["add", "dense"]


def test_weights_of_attention_and_of_stacked_cells_have_names() -> None:
    def in_keras_3(kind: str, **config: Any) -> dict[str, Any]:
        return {"class_name": kind, "module": "keras.layers", "config": config}

    names = {kind: own_weights(kind, {"use_scale": True}) for kind in ("AdditiveAttention", "Attention")}
    assert names == {"AdditiveAttention": ("scale",), "Attention": ("scale",)}
    assert own_weights("Attention", {"score_mode": "concat"}) == ("concat_score_weight",)
    cells = [
        in_keras_3("SimpleRNNCell", name="simple_rnn_cell"),
        in_keras_3("GRUCell", name="gru_cell", use_bias=False),
    ]
    stacked = in_keras_3("StackedRNNCells", name="stacked_rnn_cells", cells=cells)
    both = in_keras_3("Bidirectional", name="both", layer=in_keras_3("RNN", name="forward_rnn", cell=stacked))
    files = [f"both/forward_rnn/stacked_rnn_cells/{cell}/kernel" for cell in ("simple_rnn_cell", "gru_cell")]
    (found,) = canonical_names([(tree({"class_name": "Sequential", "config": {"layers": [both]}}).children[0], files)])
    assert found == ["both/forward/simple_rnn_cell/kernel", "both/forward/gru_cell/kernel"]


def test_frozen_graph_has_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "frozen.pb"
    zeros = message((1, 1), (2, shape([3]))) + field(5, b"\0\0\x80\x3f")  # one stored value stands for all
    path.write_bytes(
        write.graph(
            write.node("x", "Placeholder"),
            write.node("w", "Const", value=numbers(2, 3)),
            write.node("w/read", "Identity", ["w"]),
            write.node("n", "Const", value=np.array(3, "int32")),
            write.node("shape", "Const", value=np.array([1, 2], "int32")),
            message((1, "ones"), (2, "Const"), (5, entry("value", field(8, zeros)))),
            write.node("y", "MatMul", ["x", "w/read"]),
        )
    )
    saved = read(path)
    assert saved.format == "frozen-graph"
    assert {name: weight.read().tolist() for name, weight in saved.weights.items()} == {
        "w": numbers(2, 3).tolist(),
        "ones": [1.0, 1.0, 1.0],
    }
    assert [*saved.signatures["graph"].inputs, *saved.signatures["graph"].outputs] == ["x", "y"]


def test_metagraph_has_the_weights_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt-3.meta"
    path.write_bytes(write.metagraph(release="1.4.0"))
    assert (read(path).format, read(path).weights) == ("meta-graph", {})
    write.bundle(tmp_path / "model.ckpt-3", {"w": numbers(2)})
    saved = read(path)
    assert (str(saved.written_by), list(saved.weights)) == ("TensorFlow 1.4.0", ["w"])


def test_version_1_checkpoint_is_put_together(tmp_path: Path) -> None:
    def key(start: int, length: int) -> bytes:
        return b"\0" + b"w\0\1" + b"\1\2" + bytes([0x80 ^ start, 0x80 ^ length, 0x80, 0x7F])

    def part(start: int, length: int) -> bytes:
        return field(1, message((1, start), (2, length))) + field(1, b"")

    whole = numbers(4, 2)
    meta = message((1, "w"), (2, shape([4, 2])), (3, 1), (4, part(0, 3)), (4, part(3, 1)))
    rows = {b"": field(1, field(1, meta))}
    for start, length in ((0, 3), (3, 1)):
        values = field(5, whole[start : start + length].tobytes())  # without its dtype and shape
        rows[key(start, length)] = field(2, message((1, "w"), (2, part(start, length)), (3, values)))
    path = tmp_path / "model.ckpt-1"
    path.write_bytes(write.table(rows))
    saved = read(path)
    assert saved.format == "checkpoint-v1"
    np.testing.assert_array_equal(saved.weights["w"].read(), whole)
    del rows[key(3, 1)]
    path.write_bytes(write.table(rows))
    with pytest.raises(UnreadableFile, match="parts of w are missing"):
        read(path).weights["w"].read()


def test_command_shows_what_python_gives(tmp_path: Path) -> None:
    path = write.keras_archive(tmp_path / "m.keras", _CONFIG, _OBJECTS)
    text = CliRunner().invoke(app, ["inspect", str(path)]).output
    assert text == f"{tfkernels.inspect(path)!r}\n"
    assert "optimizer   Adam, slots m, v of 11 weights, step 7\n" in text
    assert "  a " in text
    document = json.loads(CliRunner().invoke(app, ["inspect", str(path), "--json"]).stdout)
    assert document["weights"][0] == {
        "name": "first/kernel",
        "dtype": "float32",
        "shape": [2, 3],
        "source": "layers/dense/vars/0",
    }
    assert document["optimizer"]["slots"]["norm/gamma"] == ["m", "v"]
    assert "<details open><summary>" in tfkernels.inspect(path)._repr_html_()


def test_weights_takes_a_path(tmp_path: Path) -> None:
    path = write.keras_archive(tmp_path / "m.keras", _CONFIG, _OBJECTS)
    np.testing.assert_array_equal(tfkernels.weights(path)["first/kernel"], numbers(2, 3))
    assert tfkernels.weights(str(path)).keys() == tfkernels.inspect(path).weights.keys()
