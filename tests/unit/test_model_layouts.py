"""Recurrent layers in another layout: converted, or said; and of a layer all weights are set, or none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tfkernels.models.load_report import LoadReport, examine

INPUTS, UNITS = 3, 2
rng = np.random.default_rng(0)


def layer(gates: int, bias: tuple[int, ...], name: str = "lstm") -> dict[str, Any]:
    shapes = {"kernel": (INPUTS, gates * UNITS), "recurrent_kernel": (UNITS, gates * UNITS), "bias": bias}
    return {f"{name}/{kind}": rng.random(shape).astype("float32") for kind, shape in shapes.items()}


def loaded(
    target: dict[str, Any], source: dict[str, Any], one_layer: bool = False, mapping: dict[str, str] | None = None
) -> tuple[LoadReport, dict[str, Any]]:
    shapes = {name: array.shape for name, array in target.items()}
    return examine(shapes, {name: array.dtype for name, array in target.items()}, source, mapping or {}, one_layer)


@pytest.mark.parametrize(
    ("gates", "keras", "cudnn", "name"),
    [(4, (4 * UNITS,), (8 * UNITS,), "cu_dnnlstm"), (3, (2, 3 * UNITS), (6 * UNITS,), "cu_dnngru_1")],
)
def test_layouts_of_cudnn_are_converted_both_ways(
    gates: int, keras: tuple[int, ...], cudnn: tuple[int, ...], name: str
) -> None:
    kind = name.replace("cu_dnn", "")
    mine = layer(gates, keras, kind)
    report, there = loaded(layer(gates, cudnn, name), mine)
    assert report.complete
    assert {pair.how for pair in report.matched} == {"other spelling, CuDNN's layout converted"}
    gate = there[f"{name}/kernel"][:, :UNITS]  # CuDNN takes it as (units, inputs), row by row
    assert np.array_equal(gate.ravel(), mine[f"{kind}/kernel"][:, :UNITS].T.ravel())
    report, back = loaded(mine, there)
    assert report.complete
    assert all(np.array_equal(back[name], array) and back[name].dtype == array.dtype for name, array in mine.items())


def test_a_mapping_converts_cudnn_of_any_name() -> None:
    target, source = layer(4, (4 * UNITS,), "decoder"), layer(4, (8 * UNITS,), "fast")
    report, values = loaded(target, source)
    assert values == {}
    assert "converted if mapping names all weights of the layer" in repr(report)
    report, values = loaded(target, source, mapping=dict(zip(target, source, strict=True)))
    assert report.complete
    assert len(values) == 3


def test_cudnn_does_not_fit_every_gru() -> None:
    report, values = loaded(layer(3, (3 * UNITS,), "gru"), layer(3, (6 * UNITS,), "cu_dnngru"))
    assert values == {}
    assert [pair.target for pair in report.held] == ["gru/kernel", "gru/recurrent_kernel"]
    assert "CuDNN's layers go with LSTM, and with GRU(reset_after=True)" in report.mismatched[0].reason


@pytest.mark.parametrize(
    ("gates", "cell", "said"),
    [
        (1, {"rnn/basic_rnn_cell/kernel": UNITS}, "kernel and recurrent_kernel in one"),
        (3, {"rnn/gru_cell/gates/kernel": 2 * UNITS, "rnn/gru_cell/candidate/kernel": UNITS}, "Keras: u, r, candidate"),
        (4, {"rnn/basic_lstm_cell/weights": 4 * UNITS}, r"gates i, j, f, o \(Keras: i, f, j, o\).*forget_bias"),
    ],
)
@pytest.mark.parametrize("to_cell", [False, True])
def test_known_layouts_of_cells_are_said(gates: int, cell: dict[str, int], said: str, to_cell: bool) -> None:
    own = {name: np.zeros((INPUTS + UNITS, columns)) for name, columns in cell.items()}
    biases = {
        f"{name.rpartition('/')[0]}/{'biases' if name.endswith('weights') else 'bias'}": np.zeros(columns)
        for name, columns in cell.items()
    }
    keras = layer(gates, (gates * UNITS,), "layer")
    report, values = loaded({**own, **biases}, keras) if to_cell else loaded(keras, {**own, **biases})
    assert values == {}, "not even the bias, which is of the right shape"
    assert re.search(said, repr(report))


def test_cudnn_takes_nothing_without_a_bias() -> None:
    source = {name: array for name, array in layer(4, (4 * UNITS,)).items() if not name.endswith("/bias")}
    report, values = loaded(layer(4, (8 * UNITS,), "cu_dnnlstm"), source)
    assert values == {}
    assert [(one.target, one.known.rpartition(", ")[2]) for one in report.missing] == [
        ("cu_dnnlstm/bias", "with a bias")
    ]


def test_of_a_layer_all_weights_or_none() -> None:
    target = {"a/kernel": np.zeros((2, 2)), "a/bias": np.zeros(2), "b/kernel": np.zeros((2, 3)), "b/bias": np.zeros(3)}
    report, values = loaded(target, {name: array for name, array in target.items() if name != "a/bias"})
    assert list(values) == ["b/kernel", "b/bias"]
    assert [pair.target for pair in report.held] == ["a/kernel"]
    assert "1 one, but not their whole layer, 1 none" in repr(report)
    assert "a/kernel  a/kernel  (2, 2) not set: of a layer all or none" in repr(report)


@pytest.mark.parametrize(("one_layer", "set_"), [(True, []), (False, ["kernel"])])
def test_names_without_a_layer(one_layer: bool, set_: list[str]) -> None:
    target = {"kernel": np.zeros((2, 2)), "bias": np.zeros(2)}
    _, values = loaded(target, {"kernel": np.zeros((2, 2))}, one_layer=one_layer)
    assert list(values) == set_


@pytest.mark.parametrize("scope", ["", "net/"])
def test_other_names_in_one_scope_are_no_layer(scope: str) -> None:
    target = {f"{scope}{name}": np.zeros((2, 2)) for name in ("W1", "b1", "W2", "b2", "head")}
    source = dict(list(target.items())[:-1])
    report, values = loaded(target, source)
    assert list(values) == list(source)
    assert [one.target for one in report.missing] == [f"{scope}head"]
