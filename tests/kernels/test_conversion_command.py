"""``tfkernels convert`` with real releases: from a file that TensorFlow 1 wrote to one that TensorFlow 2 opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.support.saved_models import keras_h5, layer, numbers
from tfprovisioner.cli.app import app

_LAYERS = [
    layer("Dense", "first", units=3, activation="hard_sigmoid", batch_input_shape=[None, 2]),
    layer("BatchNormalization", "norm", axis=[1], momentum=0.9, epsilon=0.01),
    layer("Dense", "last", units=1, activation="linear"),
]
_WEIGHTS = {
    "first/kernel:0": numbers(2, 3), "first/bias:0": numbers(3), "norm/gamma:0": numbers(3, start=1),
    "norm/beta:0": numbers(3), "norm/moving_mean:0": numbers(3), "norm/moving_variance:0": numbers(3, start=1),
    "last/kernel:0": numbers(3, 1), "last/bias:0": numbers(1, start=2),
}  # fmt: skip


def test_a_keras_file_arrives_with_its_proof(installed: object, tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": {"name": "old", "layers": _LAYERS}}
    weights: dict[str, dict[str, Any]] = {one["name"]: {} for one in _LAYERS}
    for name, array in _WEIGHTS.items():
        weights[name.split("/")[0]][name] = array
    old, new = tmp_path / "old.h5", tmp_path / "new.keras"
    keras_h5(old, weights, config)
    converted = CliRunner().invoke(app, ["convert", str(old), "--to", "tf2", "-o", str(new), "--json"])
    assert converted.exit_code == 0, converted.output
    document = json.loads(converted.stdout)
    assert (document["outcome"], document["became"]) == ("equal", "a Keras model")
    assert document["loaded_with"].startswith("1.15")
    assert {part["path"].split("[")[0] for part in document["comparison"]["parts"]} == {
        "first", "norm", "last", "output",
    }  # fmt: skip
    assert any("hard_sigmoid" in change for change in document["changes"])
    assert new.exists()
    assert (tmp_path / "new.keras.report.html").exists()
    assert len(list(tmp_path.iterdir())) == 4
