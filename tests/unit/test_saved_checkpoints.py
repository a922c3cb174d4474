"""Checkpoints of version 2: by names of a graph and by objects, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.saved_models import bundle, field, holder, layer, message, model, numbers, shape, value_object
from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.checksum import crc32c
from tfkernels.saved_models.read import read


def test_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    data = np.random.default_rng(0).bytes(300_000)
    whole = crc32c(data)
    assert whole != crc32c(data[:-1] + bytes([data[-1] ^ 1]))
    assert crc32c(data[:1500]) != crc32c(data[:1499])


def _graph(path: Path) -> Path:
    arrays = {"net/conv/weights": numbers(3, 2), "net/norm/moving_mean": numbers(2), "global_step": np.array(40)}
    arrays |= {f"net/conv/weights/{slot}": numbers(3, 2, start=9) for slot in ("Adam", "Adam_1")}
    arrays |= {
        "train/net/conv/weights/ExponentialMovingAverage": numbers(3, 2, start=5),
        "beta1_power": np.array(0.9, "float32"),
    }
    return bundle(path / "model.ckpt-40", arrays)


def test_variables_of_a_graph_are_sorted_by_kind(tmp_path: Path) -> None:
    saved = read(_graph(tmp_path))
    assert (saved.format, saved.step) == ("checkpoint-v2", 40)
    assert list(saved.weights) == ["net/conv/weights", "net/norm/moving_mean"]
    np.testing.assert_array_equal(saved.weights["net/conv/weights"].read(), numbers(3, 2))
    np.testing.assert_array_equal(saved.moving_averages["net/conv/weights"].read(), numbers(3, 2, start=5))
    assert saved.optimizer is not None
    assert saved.optimizer.class_name == "Adam"
    assert {name: list(slots) for name, slots in saved.optimizer.slots.items()} == {"net/conv/weights": ["m", "v"]}
    assert list(saved.optimizer.others) == ["beta1_power"]


def test_slots_of_slots_keep_the_order_of_the_file(tmp_path: Path) -> None:
    slots = [f"w/{letter}" for letter in "abcdef"]  # those of an optimizer that is not known
    saved = read(
        bundle(tmp_path / "model.ckpt", {name: numbers(2) for name in ("w", *slots, *(f"{one}/Adam" for one in slots))})
    )
    assert saved.optimizer is not None
    assert list(saved.optimizer.slots) == ["w", *slots]


def test_folder_index_and_prefix_are_one_checkpoint(tmp_path: Path) -> None:
    prefix = _graph(tmp_path)
    assert {*read(tmp_path).weights} == {*read(f"{prefix}.index").weights} == {*read(prefix).weights}
    bundle(tmp_path / "model.ckpt-50", {"w": numbers(2)})
    with pytest.raises(UnreadableFile, match=r"2 checkpoints\. Name one of them: model\.ckpt-40, model\.ckpt-50\."):
        read(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-50"\n')
    assert list(read(tmp_path).weights) == ["w"]


def _objects() -> tuple[dict[str, np.ndarray[Any, Any]], bytes]:
    """Two layers, the second one a model, and Adam with slots of the first."""
    key = "{}/.ATTRIBUTES/VARIABLE_VALUE".format
    held = {
        3: ("layer_with_weights-0/kernel", "dense_5/kernel", numbers(2, 3)),
        5: ("layer_with_weights-1/layer_with_weights-0/gamma", "scale_norm/gamma", numbers(3)),
        7: ("optimizer/iter", "Adam/iter", np.array(3)),
        8: ("layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m", "Adam/dense_5/kernel/m", numbers(2, 3, start=8)),
        9: ("save_counter", "save_counter", np.array(1)),
    }
    others = {
        0: holder({"layer-0": 1, "layer-1": 2, "layer_with_weights-0": 2, "layer-2": 4, "layer_with_weights-1": 4,
                   "optimizer": 6, "save_counter": 9}),
        1: b"",
        2: holder({"kernel": 3}),
        4: holder({"layer-0": 10, "layer_with_weights-0": 10}),
        6: holder({"iter": 7}, [(3, "m", 8)]),
        10: holder({"gamma": 5}),
    }  # fmt: skip
    nodes = [others[n] if n in others else value_object(key(held[n][0]), held[n][1]) for n in range(11)]
    return {key(name): array for name, _, array in held.values()}, b"".join(field(1, node) for node in nodes)


@pytest.mark.parametrize("counts", [(5, 10), (5, 5)])
def test_optimizers_of_one_checkpoint_keep_their_steps(tmp_path: Path, counts: tuple[int, int]) -> None:
    key = "{}/.ATTRIBUTES/VARIABLE_VALUE".format
    held = {
        1: ("one/w", "w", numbers(2)), 2: ("two/w", "w_1", numbers(3)),
        5: ("first/iter", "Adam/iter", np.array(counts[0])), 6: ("second/iter", "Adam/iter", np.array(counts[1])),
        7: ("one/w/.OPTIMIZER_SLOT/first/m", "Adam/w/m", numbers(2, start=4)),
        8: ("two/w/.OPTIMIZER_SLOT/second/m", "Adam/w_1/m", numbers(3, start=8)),
    }  # fmt: skip
    others = {
        0: holder({"one": 9, "two": 10, "first": 3, "second": 4}), 9: holder({"w": 1}), 10: holder({"w": 2}),
        3: holder({"iter": 5}, [(1, "m", 7)]), 4: holder({"iter": 6}, [(2, "m", 8)]),
    }  # fmt: skip
    nodes = [others[n] if n in others else value_object(key(held[n][0]), held[n][1]) for n in range(11)]
    arrays = {key(name): array for name, _, array in held.values()}
    optimizer = read(bundle(tmp_path / "gan", arrays, b"".join(field(1, node) for node in nodes))).optimizer
    assert optimizer is not None
    assert {name: list(slots) for name, slots in optimizer.slots.items()} == {"one/w": ["m"], "two/w": ["m"]}
    if counts[0] == counts[1]:
        assert (optimizer.step, optimizer.steps) == (5, {})
    else:
        assert (optimizer.step, optimizer.steps) == (None, {"one/w": 5, "two/w": 10})


def test_objects_have_the_names_of_their_layers(tmp_path: Path) -> None:
    arrays, graph = _objects()
    saved = read(bundle(tmp_path / "w", arrays, graph))
    assert list(saved.weights) == ["dense/kernel", "scale_norm/gamma"]
    assert saved.optimizer is not None
    assert (saved.optimizer.class_name, saved.optimizer.step) == ("Adam", 3)
    np.testing.assert_array_equal(saved.optimizer.slots["dense/kernel"]["m"].read(), numbers(2, 3, start=8))
    assert list(saved.others) == ["save_counter"]
    inner = {**model(layer("BatchNormalization", "scale_norm"), name="inner"), "name": "inner"}
    config = model(layer("InputLayer", "in"), layer("Dense", "hidden"), inner)
    names = ["hidden/kernel", "inner/scale_norm/gamma"]
    assert list(read(tmp_path / "w", architecture=config).weights) == names
    own = read(bundle(tmp_path / "1.12", arrays, graph, texts={"/.ATTRIBUTES/OBJECT_CONFIG_JSON": json.dumps(config)}))
    assert (list(own.weights), own.architecture, list(own.others)) == (names, config, ["save_counter"])


def test_damaged_data_are_refused(tmp_path: Path) -> None:
    prefix = bundle(tmp_path / "w", {"one": numbers(4), "two": numbers(3)})
    data = tmp_path / "w.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:9] + b"\1" + data.read_bytes()[10:])
    saved = read(prefix)
    with pytest.raises(UnreadableFile, match=r"w: the checksum of one is wrong"):
        saved.weights["one"].read()
    np.testing.assert_array_equal(saved.weights["two"].read(), numbers(3))
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(UnreadableFile, match="cut off"):
        read(prefix).weights["two"].read()
    data.unlink()
    assert read(prefix).notes == ("w.data-00000-of-00001 is missing: its weights cannot be read",)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (message((1, 1), (2, shape([1 << 40])), (5, 16)), "another size than its shape"),
        (message((1, 1), (2, shape([-1 & (1 << 64) - 1])), (5, 4)), "unknown shape"),
        (message((1, 1), (2, shape([4])), (3, 7), (5, 16)), "does not belong to it"),
        (message((1, 1), (2, shape([4])), (4, 1 << 50), (5, 16)), "behind the end"),
        (message((1, 99), (2, shape([4])), (5, 16)), "cannot be read as an array"),
    ],
)
def test_impossible_entries_are_refused(tmp_path: Path, entry: bytes, why: str) -> None:
    prefix = bundle(tmp_path / "w", {"one": numbers(4)}, changed={"one": entry})
    with pytest.raises(UnreadableFile, match=why):
        read(prefix).arrays()
