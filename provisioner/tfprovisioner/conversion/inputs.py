"""Inputs that both releases compute with: the user's, or drawn from what the model says of its inputs.

Drawn inputs have several batch sizes, lengths and value ranges. The ranges come from the layers that take an input: an
``Embedding`` says how many indices there are, a normalization which values it was trained on.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfprovisioner.errors import Unusable

Array = Any

FREE_SIZES = (16, 32, 64, 128, 299)
"""Sizes for dimensions that the model leaves open, tried until the model takes one: images may have a least size."""

_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "")


@dataclass(frozen=True)
class Batch:
    """One call of the model."""

    name: str
    arrays: Mapping[str, Array]
    """By the names of the inputs, in their order."""


@dataclass(frozen=True)
class Range:
    """Values that an input is made for."""

    low: float
    high: float
    why: str = ""
    mask: float | None = None
    """The value of steps that are left out."""


def given(path: Path, specs: Sequence[Mapping[str, Any]]) -> list[Batch]:
    """The arrays of an ``.npz`` file as one batch: by the inputs' names, or in their order. Raises ``Unusable``."""
    try:
        with path.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
            # An .npy file has one array.
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Unusable(f"Cannot read --inputs {path}: {error}. Write it with: numpy.savez(FILE, NAME=ARRAY)") from error
    names = [str(spec["name"]) for spec in specs]
    if names and set(names) <= set(arrays):
        return [Batch("your inputs", {name: arrays[name] for name in names})]
    if len(names) not in (0, len(arrays)):
        raise Unusable(
            f"Cannot use --inputs {path}: the model has the inputs {', '.join(names)}, and the file has "
            f"{', '.join(arrays) or 'nothing'}. Name the arrays as the inputs."
        )
    return [Batch("your inputs", dict(zip(names or arrays, arrays.values(), strict=True)))]


def draw(specs: Sequence[Mapping[str, Any]], ranges: Mapping[str, Range], free: int, seed: int = 0) -> Iterator[Batch]:
    """Batches of several sizes, drawn with one seed each. ``free`` is the first size of open dimensions."""
    for number, (batch, factor, kind) in enumerate([(1, 1, "normal"), (4, 1.5, "uniform"), (3, 1, "wide")]):
        random = np.random.default_rng(seed + number)
        open_size = int(free * factor)
        arrays = {}
        for spec in specs:
            name = str(spec["name"])
            arrays[name] = _array(spec, ranges.get(name, ranges.get("")), random, batch, open_size, kind)
        has_open = any(size is None for spec in specs for size in (spec["shape"] or ())[1:])
        lengths = f", open sizes {open_size}" if has_open else ""
        yield Batch(f"batch of {batch}{lengths}, seed {seed + number}", arrays)


def _array(
    spec: Mapping[str, Any], known: Range | None, random: np.random.Generator, batch: int, free: int, kind: str
) -> Array:
    first, *rest = spec["shape"] or (None,)
    shape = (batch if first is None else first, *(free if size is None else size for size in rest))
    dtype = str(spec["dtype"])
    if dtype in ("string", "object", "str"):
        return random.choice(_WORDS, shape).astype(object)
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if np.dtype(_plain(dtype)).kind in "iu":
        low, high = (int(known.low), int(known.high)) if known else (0, 10)
        found = random.integers(low, max(high, low + 1), shape)
        if kind == "wide" and low == 0 and len(shape) > 1 and shape[1] > 2:
            found[:, -(shape[1] // 3) :] = 0  # as sequences that were padded
        return found.astype(dtype)
    if known is not None:
        found = random.uniform(known.low, known.high, shape).astype(_plain(dtype))
        if known.mask is not None and kind == "wide" and len(shape) > 2 and shape[1] > 1:
            found[:, -max(1, shape[1] // 3) :] = known.mask
        return found
    if kind == "uniform":
        return random.uniform(0, 1, shape).astype(_plain(dtype))
    return (random.standard_normal(shape) * (4 if kind == "wide" else 1)).astype(_plain(dtype))


def _plain(dtype: str) -> str:
    """A dtype that NumPy has by itself; the model converts it."""
    return "float32" if dtype == "bfloat16" else dtype


def ranges(config: Mapping[str, Any] | None, weights: Mapping[str, Array]) -> dict[str, Range]:
    """The ranges of inputs by name, as far as the layers that take them tell."""
    if not config:
        return {}
    found: dict[str, Range] = {}
    layers = _layers(config)
    embeddings = [layer for layer in _all_layers(config) if layer.get("class_name") == "Embedding"]
    for layer in layers:
        if layer.get("class_name") != "InputLayer":
            continue
        name = layer["config"]["name"]
        for taker in layers:
            if f'"{name}"' in json.dumps(taker.get("inbound_nodes", [])):
                known = _range_of(taker, weights)
                if known is not None:
                    found.setdefault(name, known)
        if name not in found and embeddings and "int" in str(layer["config"].get("dtype")):
            found[name] = Range(0, min(_size(layer) for layer in embeddings), "the smallest Embedding")
    if not any(layer.get("class_name") == "InputLayer" for layer in layers):
        first = next((layer for layer in layers), None)
        known = None if first is None else _range_of(first, weights)
        if known is not None:
            found[""] = known  # a Sequential has one input, of which only its first layer tells
    return found


def _size(embedding: Mapping[str, Any]) -> int:
    return int(embedding["config"]["input_dim"])


def _range_of(layer: Mapping[str, Any], weights: Mapping[str, Array]) -> Range | None:
    kind, config = layer.get("class_name"), layer.get("config") or {}
    name = config.get("name", "")
    if kind == "Embedding":
        return Range(0, _size(layer), f"Embedding {name}")
    if kind == "Masking":
        return Range(-2, 2, f"Masking {name}", mask=float(config.get("mask_value") or 0))
    if kind == "Rescaling" and isinstance(config.get("scale"), float) and config["scale"]:
        return Range(0, 1 / config["scale"], f"Rescaling {name}")
    if kind in ("Normalization", "BatchNormalization"):
        mean, variance = ("mean", "variance") if kind == "Normalization" else ("moving_mean", "moving_variance")
        means, variances = weights.get(f"{name}/{mean}"), weights.get(f"{name}/{variance}")
        if means is not None and variances is not None and np.all(np.isfinite(means)) and np.all(variances >= 0):
            spread = 2 * np.sqrt(np.asarray(variances, "float64"))
            return Range(float(np.min(means - spread)), float(np.max(means + spread)), f"{kind} {name}")
    return None


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = config.get("config")
    layers = inner.get("layers", []) if isinstance(inner, Mapping) else inner
    return [
        layer
        for layer in layers or ()
        if isinstance(layer, Mapping) and isinstance(layer.get("config"), Mapping | list)
    ]


def _all_layers(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for layer in _layers(config):
        yield layer
        yield from _all_layers(layer)
