"""Models loaded in an old release: what Keras gets of a file's configuration, and what is said of its weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.saved_models import layer
from tfkernels.conversion import load_old
from tfkernels.errors import ConversionError, UnreadableFile
from tfkernels.saved_models.saved_file import CustomObject


def test_layers_of_cudnn_are_loaded_as_what_runs_anywhere() -> None:
    def from_json(text: str, custom_objects: Any) -> Any:
        return json.loads(text)["config"]["layers"]

    keras = SimpleNamespace(models=SimpleNamespace(model_from_json=from_json))
    inner = layer("CuDNNGRU", "inner", units=2)
    layers = [layer("CuDNNLSTM", "fast", units=3), layer("Bidirectional", "both", layer=inner)]
    built = load_old.build({"class_name": "Sequential", "config": {"name": "m", "layers": layers}}, {}, False, keras)
    assert [one["class_name"] for one in (built[0], built[1]["config"]["layer"])] == ["LSTM", "GRU"]
    assert built[0]["config"]["recurrent_activation"] == "sigmoid"
    assert built[1]["config"]["layer"]["config"]["reset_after"] is True


def test_weights_that_cannot_be_compared_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class File:
        format = "keras-h5"

        @property
        def weights(self) -> Any:
            return {"dense/kernel": self}

        def read(self) -> Any:
            raise UnreadableFile("an unknown form")

        arrays = read

    loaded: list[str] = []
    model: Any = SimpleNamespace(load_weights=loaded.append)
    monkeypatch.setattr(load_old, "each_weight", lambda _: iter([("dense/kernel", np.zeros(2))]))
    (note,) = load_old._fill(model, str(tmp_path / "model"), File())  # type: ignore[arg-type]
    assert "were not compared" in note
    assert "an unknown form" in note
    assert loaded[0].endswith("model.h5")
    monkeypatch.delattr(model, "load_weights")
    with pytest.raises(UnreadableFile):
        load_old._fill(model, str(tmp_path / "model"), File())  # type: ignore[arg-type]


def test_cause_is_said_where_no_layer_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_json(text: str, custom_objects: Any) -> Any:
        raise ValueError("the true cause")

    keras = SimpleNamespace(models=SimpleNamespace(model_from_json=from_json), layers=SimpleNamespace())  # as in 1.4
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(__version__="1.4.1"))
    config = {"class_name": "Sequential", "config": [layer("Dense", "first", units=3)]}
    with pytest.raises(ConversionError, match="it cannot be made: ValueError: the true cause"):
        load_old.build(config, {}, False, keras)


def test_missing_classes_are_named_as_they_are_called() -> None:
    scale = CustomObject("Scale", "layer", "inner/scale", "", {"offset": 0.25})
    saved: Any = SimpleNamespace(custom_objects=[scale, CustomObject("swish2", "activation", "first")])
    said = load_old._missing(saved, {"swish2": object()})
    assert said.endswith("--custom-objects FILE.py: layer Scale(offset=0.25) of inner/scale")
    assert "activation swish2 of first" in load_old._missing(saved, {})
    saved.custom_objects.append(CustomObject("my_loss", "loss", "compile(loss=…)"))  # a model is built without it
    assert load_old._missing(saved, {"Scale": object(), "swish2": object()}) == ""
