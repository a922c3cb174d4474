"""Inputs of a conversion: drawn from what a model says of its inputs, or the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfprovisioner.conversion import inputs
from tfprovisioner.conversion.inputs import Range
from tfprovisioner.errors import Unusable

_IMAGE = {"name": "image", "shape": [None, None, 8, 3], "dtype": "float32"}
_WORDS = {"name": "words", "shape": [None, 6], "dtype": "int32"}


def _layer(kind: str, name: str, takes: str | None = None, **settings: Any) -> dict[str, Any]:
    nodes = [[[takes, 0, 0, {}]]] if takes else []
    return {"class_name": kind, "name": name, "config": {"name": name, **settings}, "inbound_nodes": nodes}


def test_batches_have_several_sizes_and_ranges() -> None:
    batches = list(inputs.draw([_IMAGE, _WORDS], {"words": Range(0, 5)}, free=10))
    assert [batch.arrays["image"].shape for batch in batches] == [(1, 10, 8, 3), (4, 15, 8, 3), (3, 10, 8, 3)]
    assert all(batch.arrays["image"].dtype == np.float32 for batch in batches)
    words = [batch.arrays["words"] for batch in batches]
    assert {array.dtype.name for array in words} == {"int32"}
    assert 0 <= min(array.min() for array in words) <= max(array.max() for array in words) < 5
    assert not words[2][:, -2:].any()  # as padded sequences
    assert len({batch.name for batch in batches}) == 3


def test_some_steps_are_masked_for_a_layer_that_masks() -> None:
    layers = [_layer("InputLayer", "steps"), _layer("Masking", "masked", "steps", mask_value=-1.0)]
    known = inputs.ranges({"class_name": "Model", "config": {"name": "m", "layers": layers}}, {})
    batches = list(inputs.draw([{"name": "steps", "shape": [None, None, 2], "dtype": "float32"}], known, free=6))
    masked = [(batch.arrays["steps"] == -1).all(axis=2) for batch in batches]
    assert [steps.any() for steps in masked] == [False, False, True]
    assert masked[2].sum(axis=1).tolist() == [2, 2, 2]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"text"])
def test_damaged_inputs_are_wrong_usage(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "inputs.npz"
    file.write_bytes(content)
    with pytest.raises(Unusable, match="Cannot read --inputs"):
        inputs.given(file, [_WORDS])
    np.save(tmp_path / "words.npy", np.zeros((2, 6)))
    assert inputs.given(tmp_path / "words.npy", [_WORDS])[0].arrays["words"].shape == (2, 6)


def test_equal_seeds_draw_equal_inputs() -> None:
    first, again = (list(inputs.draw([_IMAGE], {}, free=4)) for _ in range(2))
    assert all(np.array_equal(one.arrays["image"], two.arrays["image"]) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0].arrays["image"][0], first[2].arrays["image"][0])


@pytest.mark.parametrize(
    ("dtype", "kind"), [("bool", "b"), ("uint8", "u"), ("float16", "f"), ("string", "O"), ("bfloat16", "f")]
)
def test_every_dtype_can_be_drawn(dtype: str, kind: str) -> None:
    batches = list(inputs.draw([{"name": "x", "shape": [None, 3], "dtype": dtype}], {}, free=4))
    assert {batch.arrays["x"].dtype.kind for batch in batches} == {kind}


def test_ranges_are_those_of_the_layers_that_take_an_input() -> None:
    layers = [
        _layer("InputLayer", "words", dtype="int32"), _layer("InputLayer", "other", dtype="int64"),
        _layer("InputLayer", "image"), _layer("InputLayer", "table"), _layer("InputLayer", "plain"),
        _layer("Embedding", "embedding", "words", input_dim=20), _layer("Rescaling", "scaled", "image", scale=1 / 255),
        _layer("Normalization", "normalized", "table"), _layer("Dense", "dense", "plain"),
    ]  # fmt: skip
    weights = {"normalized/mean": np.array([10.0, 20]), "normalized/variance": np.array([4.0, 1])}
    found = inputs.ranges({"class_name": "Model", "config": {"name": "m", "layers": layers}}, weights)
    assert {name: (known.low, known.high) for name, known in found.items()} == {
        "words": (0, 20), "other": (0, 20), "image": (0, 255), "table": (6, 22),
    }  # fmt: skip


def test_first_layer_of_a_sequential_gives_its_range() -> None:
    config = {"class_name": "Sequential", "config": [_layer("Embedding", "embedding", input_dim=7)]}
    (batch, *_) = inputs.draw([_WORDS], inputs.ranges(config, {}), free=4)
    assert batch.arrays["words"].max() < 7


def test_given_inputs_are_taken_by_name_or_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", words=np.ones((2, 6), "int32"), image=np.zeros((2, 4, 8, 3)))
    (batch,) = inputs.given(tmp_path / "named.npz", [_IMAGE, _WORDS])
    assert list(batch.arrays) == ["image", "words"]
    np.savez(tmp_path / "ordered.npz", np.zeros((2, 4, 8, 3)))
    (batch,) = inputs.given(tmp_path / "ordered.npz", [_IMAGE])
    assert batch.arrays["image"].shape == (2, 4, 8, 3)


def test_unfit_inputs_are_refused_with_the_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", picture=np.zeros(3))
    with pytest.raises(Unusable, match=r"the model has the inputs image, words, and the file has picture"):
        inputs.given(tmp_path / "one.npz", [_IMAGE, _WORDS])
    (tmp_path / "none.npz").write_text("text")
    with pytest.raises(Unusable, match=r"Cannot read --inputs .*numpy\.savez"):
        inputs.given(tmp_path / "none.npz", [_IMAGE])


def test_pickles_in_given_inputs_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", image=np.array([{}], dtype=object))
    with pytest.raises(Unusable, match="allow_pickle"):
        inputs.given(tmp_path / "objects.npz", [_IMAGE])
